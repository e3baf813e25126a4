#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/base/counted.hpp"
#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/units.hpp"
#include "daemon/ctl/dial.hpp"
#include "daemon/ctl/exchange.hpp"

namespace preforkd {
namespace {

constexpr std::size_t piece_bytes = std::size_t{64} * 1024;

class StreamExchange {
public:
    StreamExchange(const SendRequest& request, const SendChannels& channels, Listening listening)
        : request_{request}, listening_{listening}, input_{request.text ? -1 : channels.input} {
        if (request.text) unsent_ = *request.text;
    }

    void connect() {
        socket_ = first_that_works(request_.endpoint, patience_, listening_.trace,
                                   [this](const SocketAddress& address, Deadline until) {
                                       UniqueFd connected = connect_within(until, address, SOCK_STREAM);
                                       listening_.trace.connected(name_of(address));
                                       return connected;
                                   });
    }

    /// Sends and reads at once: a server may answer before it has read everything.
    void talk() {
        if (nothing_to_send()) half_close();
        while (!listening_.answer.is_as_expected()) {
            const short events = unsent_.empty() ? POLLIN : POLLIN | POLLOUT;
            std::array<pollfd, 2> watched{{{.fd = socket_.get(), .events = events, .revents = 0},
                                           {.fd = wants_input() ? input_ : -1, .events = POLLIN, .revents = 0}}};
            wait(watched);
            if (watched[1].revents != 0) read_input();
            if (!unsent_.empty()) send_some();
            if ((watched[0].revents & ~POLLOUT) != 0 && !receive_some()) return;
        }
    }

private:
    /// One piece of the input at a time, so that a slow server slows its source down.
    [[nodiscard]] bool wants_input() const { return input_ != -1 && unsent_.empty(); }
    [[nodiscard]] bool nothing_to_send() const { return input_ == -1 && unsent_.empty(); }

    void wait(std::span<pollfd> watched) {
        if (wants_input()) {
            patience_.excuse([&] { (void)wait_until(std::nullopt, watched); });
            return;
        }
        if (wait_until(patience_.until(), watched)) return;
        std::string sentence =
            fmt::format("{}: the answer has not ended within --timeout {}, after {}", to_string(request_.endpoint),
                        to_string(request_.timeout), counted(listening_.trace.received_bytes(), "byte"));
        if (listening_.trace.received_bytes() == 0)
            sentence = fmt::format("{}: no answer within --timeout {}", to_string(request_.endpoint),
                                   to_string(request_.timeout));
        else if (request_.expect)
            sentence += fmt::format(" without --expect {}", in_quotes(*request_.expect));
        throw std::runtime_error{sentence};
    }

    void read_input() {
        piece_.resize(piece_bytes);
        const ssize_t got = ::read(input_, piece_.data(), piece_.size());
        if (got == -1 && errno != EAGAIN && errno != EINTR) throw_errno("read standard input");
        if (got > 0) unsent_ = std::string_view{piece_}.substr(0, static_cast<std::size_t>(got));
        if (got == 0) {
            input_ = -1;
            half_close();
        }
    }

    void send_some() {
        const ssize_t sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            unsent_.remove_prefix(static_cast<std::size_t>(sent));
            listening_.trace.sent(static_cast<std::size_t>(sent));
        } else if (errno != EAGAIN && errno != EINTR) {  // it takes no more; it may have answered all the same
            unsent_ = {};
            input_ = -1;
        }
        if (nothing_to_send()) half_close();
    }

    /// Fails only when the server has reset, which the next read tells.
    void half_close() { ::shutdown(socket_.get(), SHUT_WR); }

    /// False at the end of the answer.
    bool receive_some() {
        chunk_.resize(piece_bytes);
        const ssize_t got = ::recv(socket_.get(), chunk_.data(), chunk_.size(), 0);
        if (got == -1 && errno != EAGAIN && errno != EINTR)
            throw_errno("read the answer of " + to_string(request_.endpoint));
        if (got > 0) {
            const auto size = static_cast<std::size_t>(got);
            listening_.trace.received(size);
            listening_.answer.pass_on(std::string_view{chunk_}.substr(0, size));
        }
        return got != 0;
    }

    const SendRequest& request_;
    Listening listening_;
    int input_;  ///< borrowed; -1 once all of it is read
    Patience patience_{request_.timeout};
    UniqueFd socket_{};
    std::string piece_{};  ///< of the input
    std::string_view unsent_{};
    std::string chunk_{};  ///< of the answer
};

}  // namespace

void exchange_stream(const SendRequest& request, const SendChannels& channels, Listening listening) {
    StreamExchange exchange{request, channels, listening};
    exchange.connect();
    exchange.talk();
}

}  // namespace preforkd
