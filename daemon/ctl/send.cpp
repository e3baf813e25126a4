#include "daemon/ctl/send.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string_view>

#include "common/clock.hpp"
#include "common/socket_address.hpp"
#include "common/sys_error.hpp"
#include "common/unique_fd.hpp"
#include "common/units.hpp"

namespace preforkd {

namespace {

class Conversation {
public:
    explicit Conversation(const SendRequest& request)
        : request_{request}, until_{deadline_after(Clock::now(), request.timeout)} {}

    void connect() {
        std::string failures;
        for (const SocketAddress& address : resolve(request_.endpoint)) {
            socket_ = UniqueFd{
                check(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "open a socket")};
            if (::connect(socket_.get(), address.data(), address.size()) == 0) return;
            int error = errno;
            if (error == EINPROGRESS) {
                wait_for(POLLOUT, "connect");
                socklen_t size = sizeof error;
                check(::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size), "connect");
                if (error == 0) return;
            }
            failures = std::generic_category().message(error);
        }
        throw std::runtime_error{"connect " + to_string(request_.endpoint) + ": " + failures};
    }

    /// Sends and reads at once: a server may answer before it has read everything.
    std::string talk() {
        std::string_view unsent = request_.text;
        if (unsent.empty()) half_close();
        std::string answer;
        for (;;) {
            wait_for(static_cast<short>(unsent.empty() ? POLLIN : POLLIN | POLLOUT), "read the answer");
            if (!unsent.empty()) send_some(unsent);
            if (unsent.empty() && !half_closed_) half_close();
            if (!receive_some(answer)) break;
            if (is_as_expected(answer)) return answer;
        }
        if (request_.expect && !is_as_expected(answer))
            throw std::runtime_error{"the answer from " + to_string(request_.endpoint) +
                                     " is not what --expect asks for"};
        return answer;
    }

private:
    void wait_for(short events, const char* attempt) {
        pollfd socket{.fd = socket_.get(), .events = events, .revents = 0};
        for (;;) {
            int patience_ms = -1;
            if (until_) {
                const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until_ - Clock::now());
                patience_ms = left.count() > 0 ? static_cast<int>(left.count()) : 0;
            }
            const int ready = ::poll(&socket, 1, patience_ms);
            if (ready > 0) return;
            if (ready == -1 && errno != EINTR) throw_errno(attempt);
            if (ready == 0)
                throw std::runtime_error{std::string{attempt} + ' ' + to_string(request_.endpoint) +
                                         ": nothing within --timeout " + to_string(request_.timeout)};
        }
    }

    void half_close() {
        half_closed_ = true;
        ::shutdown(socket_.get(), SHUT_WR);  // fails only when the server has reset, which the next read tells
    }

    void send_some(std::string_view& unsent) {
        const ssize_t sent = ::send(socket_.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL);
        if (sent > 0)
            unsent.remove_prefix(static_cast<std::size_t>(sent));
        else if (errno != EAGAIN && errno != EINTR)
            unsent = {};  // it takes no more; it may have answered all the same
    }

    /// False at the end of the answer.
    bool receive_some(std::string& answer) {
        std::array<char, 16 * 1024> chunk{};
        const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
        if (got == -1 && errno != EAGAIN && errno != EINTR)
            throw_errno("read the answer of " + to_string(request_.endpoint));
        if (got > 0) answer.append(chunk.data(), static_cast<std::size_t>(got));
        return got != 0;
    }

    [[nodiscard]] bool is_as_expected(const std::string& answer) const {
        return request_.expect && answer.find(*request_.expect) != std::string::npos;
    }

    const SendRequest& request_;
    Deadline until_;
    UniqueFd socket_{};
    bool half_closed_ = false;
};

}  // namespace

std::string send_and_receive(const SendRequest& request) {
    Conversation conversation{request};
    conversation.connect();
    return conversation.talk();
}

}  // namespace preforkd
