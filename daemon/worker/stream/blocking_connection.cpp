#include "preforkd/blocking_connection.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/worker/stream/blocking_core.hpp"

namespace preforkd {

namespace {

/// The line that is read while it lives may be as long as the limit, and no longer.
class BoundedLine {
public:
    BoundedLine(StreamBuffer& buffer, char end) noexcept : buffer_{buffer}, end_{end} { buffer_.begin_line(end_); }
    ~BoundedLine() {
        if (end_ != '\n') buffer_.begin_line('\n');
    }
    BoundedLine(const BoundedLine&) = delete;
    BoundedLine& operator=(const BoundedLine&) = delete;

private:
    StreamBuffer& buffer_;
    char end_;
};

}  // namespace

ClientStream::ClientStream(StreamBuffer& buffer) : std::istream{&buffer}, buffer_{buffer}, output_{&buffer} {}

ClientStream& getline(ClientStream& input, std::string& line, char delimiter) {
    const BoundedLine bounded{input.buffer_, delimiter};
    std::getline(static_cast<std::istream&>(input), line, delimiter);
    return input;
}

ClientStream& operator>>(ClientStream& input, std::string& word) {
    if ((input.flags() & std::ios::skipws) != 0) input >> std::ws;
    const BoundedLine bounded{input.buffer_, '\n'};
    static_cast<std::istream&>(input) >> word;
    return input;
}

const Endpoint& BlockingConnection::peer() const { return core_.peer(); }
const Endpoint& BlockingConnection::local() const { return core_.local(); }
const Announcement* BlockingConnection::announcement() const noexcept {
    return core_.announced ? &core_.announced->said : nullptr;
}
const Tls* BlockingConnection::tls() const { return core_.tls ? &core_.tls->facts() : nullptr; }

int BlockingConnection::fd() const {
    if (core_.tls) refuse_socket("fd()");
    return core_.fd.get();
}

ClientStream& BlockingConnection::stream() {
    if (!core_.stream) {
        if (!core_.buffer) core_.buffer.emplace(core_);
        core_.stream.emplace(*core_.buffer);
    }
    return *core_.stream;
}

Received BlockingConnection::read_some(std::size_t limit_bytes) {
    (void)core_.flush();
    if (!core_.read_buffer) core_.read_buffer = std::make_unique_for_overwrite<std::byte[]>(BufferPool::buffer_bytes);
    const std::size_t most = std::clamp<std::size_t>(limit_bytes, 1, BufferPool::buffer_bytes);
    if (!core_.unread().empty()) return core_.take_unread(std::min(most, core_.unread().size()));
    return core_.receive({core_.read_buffer.get(), most});
}

Received BlockingConnection::peek(std::size_t size_bytes) {
    (void)core_.flush();
    return core_.fill(size_bytes);
}

Received BlockingConnection::read_exactly(std::size_t size_bytes) {
    const Received all = peek(size_bytes);
    return all ? core_.take_unread(size_bytes) : all;
}

Received BlockingConnection::read_some(std::span<std::byte> space) {
    (void)core_.flush();
    if (space.empty()) return {};
    if (core_.unread().empty()) return core_.receive(space);
    const Received kept = core_.take_unread(std::min(space.size(), core_.unread().size()));
    std::memcpy(space.data(), kept.bytes.data(), kept.bytes.size());
    return {.bytes = space.first(kept.bytes.size())};
}

Received BlockingConnection::read_exactly(std::span<std::byte> space) {
    for (std::size_t filled = 0; filled < space.size();) {
        const Received got = read_some(space.subspan(filled));
        filled += got.bytes.size();
        if (got) continue;
        if (got.error || filled == 0) return got;
        return {.error = core_.last_error = std::make_error_code(std::errc::connection_aborted)};
    }
    return {.bytes = space};
}

Received BlockingConnection::buffered() const noexcept { return {.bytes = core_.unread()}; }

std::error_code BlockingConnection::write(std::span<const std::byte> bytes) {
    if (const auto error = core_.flush()) return error;
    return core_.send(bytes);
}

std::error_code BlockingConnection::write(Parts parts) {
    if (const auto error = core_.flush()) return error;
    return core_.send(Gathered{parts});
}

namespace {

template <class Bytes>
std::error_code send_last(BlockingCore& core, Bytes bytes) {
    if (const auto error = core.flush()) return error;
    // The last segment is held back for the FIN, which the shutdown sends at once.
    if (const auto error = core.send(std::move(bytes), /*more=*/true)) return error;
    return core.end_output();
}

}  // namespace

std::error_code BlockingConnection::write_last(std::span<const std::byte> bytes) { return send_last(core_, bytes); }
std::error_code BlockingConnection::write_last(Parts parts) { return send_last(core_, Gathered{parts}); }

std::error_code BlockingConnection::half_close() {
    if (const auto error = core_.flush()) return error;
    return core_.end_output();
}

void BlockingConnection::timeout(std::chrono::milliseconds patience) noexcept { core_.patience = patience; }

void BlockingConnection::line_max(std::size_t limit_bytes) noexcept { core_.line_max_bytes = limit_bytes; }

std::error_code BlockingConnection::last_error() const noexcept { return core_.last_error; }

}  // namespace preforkd
