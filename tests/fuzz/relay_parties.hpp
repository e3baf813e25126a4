#pragma once
// The three of a relay: the worker that has it, its client, its program.
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/tls/self_signed.hpp"
#include "common/tls/server_context.hpp"
#include "common/tls/tls_client.hpp"
#include "daemon/worker/program/tls_relay.hpp"
#include "tests/fuzz/require.hpp"

namespace preforkd::fuzz {

using Kind = TlsResult::Kind;
using Bytes = std::vector<std::byte>;

/// What stands at each place of what one side sends: no two near each other are the same for long.
class Pattern {
public:
    explicit Pattern(unsigned seed) : seed_{seed} {}
    [[nodiscard]] Bytes from(std::size_t begin, std::size_t count) const {
        Bytes bytes(count);
        for (std::size_t each = 0; each < count; ++each) bytes[each] = at(begin + each);
        return bytes;
    }
    [[nodiscard]] bool has(std::size_t begin, std::span<const std::byte> bytes) const {
        return std::ranges::all_of(bytes, [&, place = begin](std::byte each) mutable { return each == at(place++); });
    }

private:
    [[nodiscard]] std::byte at(std::size_t place) const {
        return static_cast<std::byte>((static_cast<std::uint32_t>(place) + seed_) * 2654435761U >> 24);
    }
    unsigned seed_;
};

inline const Pattern of_client{1};
inline const Pattern of_program{77};

struct SocketPair {
    UniqueFd ours{};
    UniqueFd theirs{};
};

inline SocketPair make_pair(int buffer_bytes) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0,
            "there is a pair of sockets");
    for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    return {.ours = UniqueFd{ends[0]}, .theirs = UniqueFd{ends[1]}};
}

inline int unread_bytes(int socket) {
    int bytes = 0;
    return socket != -1 && ::ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : 0;
}

inline int unsent_bytes(int socket) {
    int bytes = 0;
    return socket != -1 && ::ioctl(socket, TIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

/// A listener that speaks TLS, whose clients have to end in good order, or need not.
inline const Listener& listener_of(TlsEnd end) {
    static const CertificatePair pair = make_self_signed({"localhost"}, std::chrono::days{30});
    static const auto make = [](TlsEnd how) {
        TlsSettings settings{.certificates = {"certificate"}, .keys = {"key"}, .end = how};
        return Listener{
            .tls = std::make_shared<TlsContext>(
                settings, "tcp://here", std::make_shared<RotatingTicketKeys>(),
                [](const std::string& key, const std::string&) { return key == "key" ? pair.key : pair.certificate; })};
    };
    static const Listener strict = make(TlsEnd::Strict);
    static const Listener lax = make(TlsEnd::Lax);
    return end == TlsEnd::Strict ? strict : lax;
}

/// The worker's part, as its loop plays it.
class Worker {
public:
    Worker(UniqueFd client, TlsEnd end, int buffer_bytes)
        : relay_{std::in_place, AcceptedStream{.fd = std::move(client), .listener = listener_of(end)}, account_},
          buffer_bytes_{buffer_bytes} {}

    /// The loop, until nothing it waits for is there.
    void come_to_rest(int client, int program) {
        std::array<long, 7> before{};
        for (int vain = 0; relay_ && (!begun_ || is_ready());) {
            begun_ = true;
            turn();
            const std::array<long, 7> now{unread_bytes(relay_ ? relay_->stream().fd.get() : -1),
                                          unread_bytes(relay_ ? relay_->program() : -1),
                                          unread_bytes(client),
                                          unread_bytes(of_program_ ? of_program_.get() : program),
                                          relay_ ? static_cast<long>(relay_->state()) : -1,
                                          relay_ ? relay_->wanted_of_client().value_or(0) : 0,
                                          relay_ ? relay_->wanted_of_program().value_or(0) : 0};
            vain = now == before ? vain + 1 : 0;
            require(vain < 3, "the relay is not woken for nothing, again and again");
            before = now;
        }
    }

    void hurry() {
        if (relay_) relay_->hurry();
        begun_ = false;  // it is looked at again at once
    }
    void give_up() {
        if (!relay_ || relay_->state() != TlsRelay::State::Handshaking) return;
        relay_->give_up();
        begun_ = false;
    }

    /// The program's end of its socket, once it has been started.
    [[nodiscard]] UniqueFd take_program() { return std::move(of_program_); }
    [[nodiscard]] bool is_over() const { return !relay_; }
    [[nodiscard]] ConnectionOutcome outcome() const { return account_.outcome(); }

private:
    void turn() {
        relay_->act();
        if (relay_->state() == TlsRelay::State::Relaying && !relay_->has_program()) {
            SocketPair sockets = make_pair(buffer_bytes_);
            relay_->connect(std::move(sockets.ours));
            of_program_ = std::move(sockets.theirs);
            relay_->act();
        }
        if (relay_->state() == TlsRelay::State::Over) relay_ = std::nullopt;
    }

    [[nodiscard]] bool is_ready() {
        const auto watched = [](int socket, std::optional<std::uint32_t> wanted) {
            return pollfd{.fd = wanted ? socket : -1, .events = static_cast<short>(wanted.value_or(0)), .revents = 0};
        };
        std::array<pollfd, 2> sockets{watched(relay_->stream().fd.get(), relay_->wanted_of_client()),
                                      watched(relay_->program(), relay_->wanted_of_program())};
        return ::poll(sockets.data(), sockets.size(), 0) > 0;
    }

    ConnectionAccount account_{};
    std::optional<TlsRelay> relay_;
    UniqueFd of_program_{};
    int buffer_bytes_;
    bool begun_ = false;
};

class Client {
public:
    explicit Client(UniqueFd fd) : fd_{std::move(fd)}, stream_{settings().connect(fd_.get())} {}

    void shake_hands() {
        if (state_ == State::New) go_on(stream_->handshake(), State::Open);
    }
    void write(std::size_t count) {
        shake_hands();
        if (state_ != State::Open || ended_) return;
        if (begun_.empty()) begun_ = of_client.from(sent_, count);
        const TlsResult result = stream_->write(begun_);
        go_on(result, State::Open);
        if (result.kind != Kind::Done) return;
        sent_ += result.bytes;
        begun_.clear();
    }
    void end() {
        if (!begun_.empty()) write(0);
        if (state_ != State::Open || !begun_.empty()) return;
        const TlsResult result = stream_->end_output();
        go_on(result, State::Open);
        ended_ = true;
        has_ended_ = result.kind == Kind::Done;
    }
    /// Bytes that were read.
    std::size_t read(std::size_t count) {
        shake_hands();
        if (state_ != State::Open || got_end_) return 0;
        Bytes space(std::max(count, std::size_t{1}));
        const TlsResult result = stream_->read(space);
        got_end_ = result.kind == Kind::End;
        if (result.kind == Kind::Failed) state_ = State::Failed;
        require(of_program.has(received_, std::span{space}.first(result.bytes)),
                "the client gets what the program has sent");
        received_ += result.bytes;
        return result.bytes;
    }
    /// Around its TLS.
    void send_junk(std::size_t count) { (void)::send(fd_.get(), Bytes(count).data(), count, MSG_NOSIGNAL); }
    void cut() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() {
        stream_ = nullptr;
        fd_ = {};
        state_ = State::Failed;
    }

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool is_open() const { return state_ == State::Open; }
    [[nodiscard]] bool has_begun_to_write() const { return !begun_.empty(); }
    [[nodiscard]] bool has_ended() const { return has_ended_; }
    [[nodiscard]] bool got_end() const { return got_end_; }
    [[nodiscard]] std::size_t sent() const { return sent_; }
    [[nodiscard]] std::size_t received() const { return received_; }

private:
    enum class State { New, Open, Failed };

    static TlsClient& settings() {
        static TlsClient client{{.server_name = "localhost", .verifies = false}};
        return client;
    }
    void go_on(const TlsResult& result, State done) {
        if (result.kind == Kind::Done) state_ = done;
        if (result.kind == Kind::Failed) state_ = State::Failed;
    }

    UniqueFd fd_;
    std::unique_ptr<TlsStream> stream_;
    State state_ = State::New;
    Bytes begun_{};  ///< what TLS has seen of it has to come again
    std::size_t sent_ = 0;
    std::size_t received_ = 0;
    bool ended_ = false;
    bool has_ended_ = false;
    bool got_end_ = false;
};

class Program {
public:
    void start(UniqueFd fd) { fd_ = std::move(fd); }
    void write(std::size_t count) {
        if (!fd_ || ended_) return;
        const Bytes bytes = of_program.from(sent_, count);
        const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) sent_ += static_cast<std::size_t>(sent);
    }
    std::size_t read(std::size_t count) {
        if (!fd_ || got_end_) return 0;
        Bytes space(std::max(count, std::size_t{1}));
        const ssize_t got = ::recv(fd_.get(), space.data(), space.size(), 0);
        got_end_ = got == 0 || (got == -1 && errno != EAGAIN);
        if (got <= 0) return 0;
        const auto bytes = static_cast<std::size_t>(got);
        require(of_client.has(received_, std::span{space}.first(bytes)), "the program gets what the client has sent");
        received_ += bytes;
        return bytes;
    }
    void end() {
        if (fd_) ::shutdown(fd_.get(), SHUT_WR);
        ended_ = ended_ || fd_;
    }
    void stop_reading() {
        if (fd_) ::shutdown(fd_.get(), SHUT_RD);
        reads_ = false;
    }
    void close() {
        ended_ = ended_ || fd_;
        reads_ = reads_ && !fd_;
        fd_ = {};
    }

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool reads() const { return reads_; }
    [[nodiscard]] bool has_ended() const { return ended_; }
    [[nodiscard]] bool got_end() const { return got_end_; }
    [[nodiscard]] std::size_t sent() const { return sent_; }
    [[nodiscard]] std::size_t received() const { return received_; }

private:
    UniqueFd fd_{};
    std::size_t sent_ = 0;
    std::size_t received_ = 0;
    bool reads_ = true;
    bool ended_ = false;
    bool got_end_ = false;
};

}  // namespace preforkd::fuzz
