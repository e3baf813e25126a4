#include "daemon/observe/accept_loop.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

/// After an error of accept(2) that another try would meet again.
constexpr std::chrono::milliseconds pause_after_error{500};

asio::generic::stream_protocol protocol_of(const Listener& listener) {
    const int family = listener.local.transport == Transport::Unix          ? AF_UNIX
                       : listener.local.host.find(':') == std::string::npos ? AF_INET
                                                                            : AF_INET6;
    return {family, 0};
}

}  // namespace

AcceptLoop::AcceptLoop(asio::io_context& context, const Listener& listener, Session session, std::function<void()> over)
    : context_{context},
      listener_{context, check(::fcntl(listener.fd.get(), F_DUPFD_CLOEXEC, 3), "duplicate a listener")},
      protocol_{protocol_of(listener)},
      session_{std::move(session)},
      over_{std::move(over)},
      pause_{context} {
    asio::co_spawn(context, run(), [](const std::exception_ptr& failed) {
        if (failed) std::rethrow_exception(failed);
    });
}

void AcceptLoop::stop() {
    stopped_ = true;
    boost::system::error_code ignored;
    listener_.close(ignored);
    pause_.cancel();
}

asio::awaitable<void> AcceptLoop::run() {
    boost::system::error_code ignored;
    while (!stopped_) {
        const int connection = ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection >= 0) {
            Socket socket{context_, protocol_, connection};
            co_await free_a_place();
            if (!stopped_) begin(std::move(socket));
        } else if (errno == EAGAIN) {
            co_await listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                                          asio::redirect_error(asio::use_awaitable, ignored));
        } else if (errno != ECONNABORTED && errno != EINTR && errno != EPERM) {
            pause_.expires_after(pause_after_error);
            co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
    }
}

/// Who waits for the master is spared: that takes no longer than Snapshots::patience.
asio::awaitable<void> AcceptLoop::free_a_place() {
    boost::system::error_code ignored;
    while (!stopped_ && sessions_.size() >= most_sessions) {
        const auto now = Clock::now();
        SessionState* longest = nullptr;
        for (SessionState& each : sessions_) {
            each.crowded = true;
            if (each.close && each.waits_since && (!longest || *each.waits_since < *longest->waits_since))
                longest = &each;
        }
        const auto patient_until = (longest ? *longest->waits_since : now) + least_patience;
        const bool too_long = longest && patient_until <= now;
        if (too_long) std::exchange(longest->close, {})();
        pause_.expires_at(too_long ? now + least_patience : patient_until);
        co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void AcceptLoop::begin(Socket socket) {
    const auto state = sessions_.emplace(sessions_.end());
    state->crowded = sessions_.size() == most_sessions;
    // What goes wrong in a session is the end of it: nobody is served by more than that.
    asio::co_spawn(context_, session_(std::move(socket), *state), [this, state](const std::exception_ptr&) {
        sessions_.erase(state);
        pause_.cancel();
        over_();
    });
}

}  // namespace preforkd
