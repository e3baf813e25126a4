#include "preforkd/blocking_connection.hpp"

#include <sys/socket.h>

#include <algorithm>

#include "daemon/worker/stream/blocking_core.hpp"

namespace preforkd {

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

}  // namespace

std::error_code StreamBuffer::flush() {
    const std::span<const char> pending{pbase(), pptr()};
    if (pending.empty()) return {};
    setp(pbase(), epptr());
    return core_.send(std::as_bytes(pending));
}

StreamBuffer::int_type StreamBuffer::underflow() {
    if (gptr() != egptr()) return traits_type::to_int_type(*gptr());
    (void)flush();  // what the client may be waiting for before it goes on
    if (!input_) input_ = std::make_unique_for_overwrite<char[]>(buffer_bytes);
    const Received got = core_.receive(std::as_writable_bytes(std::span{input_.get(), buffer_bytes}));
    // An end of file would set eofbit; the streams turn an exception into badbit.
    if (got.error) throw std::system_error{got.error, "read from the client"};
    setg(input_.get(), input_.get(), input_.get() + got.bytes.size());
    return got ? traits_type::to_int_type(*gptr()) : traits_type::eof();
}

StreamBuffer::int_type StreamBuffer::overflow(int_type next) {
    if (flush()) return traits_type::eof();
    if (!output_) {
        output_ = std::make_unique_for_overwrite<char[]>(buffer_bytes);
        setp(output_.get(), output_.get() + buffer_bytes);
    }
    return traits_type::eq_int_type(next, traits_type::eof()) ? traits_type::not_eof(next)
                                                              : sputc(traits_type::to_char_type(next));
}

std::streamsize StreamBuffer::xsputn(const char* text, std::streamsize size) {
    if (size < static_cast<std::streamsize>(buffer_bytes)) return std::streambuf::xsputn(text, size);
    if (flush() || core_.send(bytes_of({text, static_cast<std::size_t>(size)}))) return 0;
    return size;
}

int StreamBuffer::sync() { return flush() ? -1 : 0; }

const Endpoint& BlockingConnection::peer() const { return core_.peer(); }
const Endpoint& BlockingConnection::local() const { return core_.local(); }
const Announcement* BlockingConnection::announcement() const noexcept {
    return core_.announced ? &core_.announced->said : nullptr;
}
int BlockingConnection::fd() const noexcept { return core_.fd.get(); }

ClientStream& BlockingConnection::stream() {
    if (!core_.stream) {
        if (!core_.buffer) core_.buffer.emplace(core_);
        core_.stream.emplace(&*core_.buffer);
    }
    return *core_.stream;
}

Received BlockingConnection::read_some(std::size_t limit_bytes) {
    (void)core_.flush();
    if (!core_.read_buffer) core_.read_buffer = std::make_unique_for_overwrite<std::byte[]>(BufferPool::buffer_bytes);
    const std::size_t most = std::clamp<std::size_t>(limit_bytes, 1, BufferPool::buffer_bytes);
    return core_.receive({core_.read_buffer.get(), most});
}

std::error_code BlockingConnection::write(std::span<const std::byte> bytes) {
    if (const auto error = core_.flush()) return error;
    return core_.send(bytes);
}

std::error_code BlockingConnection::write(std::string_view text) { return write(bytes_of(text)); }

std::error_code BlockingConnection::write_last(std::span<const std::byte> bytes) {
    if (const auto error = core_.flush()) return error;
    // MSG_MORE holds the last segment back for the FIN, which the shutdown sends at once.
    if (const auto error = core_.send(bytes, MSG_MORE)) return error;
    return core_.end_output();
}

std::error_code BlockingConnection::write_last(std::string_view text) { return write_last(bytes_of(text)); }

std::error_code BlockingConnection::half_close() {
    if (const auto error = core_.flush()) return error;
    return core_.end_output();
}

void BlockingConnection::timeout(std::chrono::milliseconds patience) noexcept { core_.patience = patience; }

std::error_code BlockingConnection::last_error() const noexcept { return core_.last_error; }

}  // namespace preforkd
