#pragma once
#include <sys/epoll.h>

#include <boost/asio/basic_socket.hpp>
#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace detail {

// [temp.spec]: access checks do not apply to the arguments of an explicit
// instantiation, so this is legal C++, and a renamed member fails to compile.
template <auto Member>
struct ReactorMember {
    friend int epoll_fd_of(boost::asio::detail::epoll_reactor& reactor) { return reactor.*Member; }
};
int epoll_fd_of(boost::asio::detail::epoll_reactor& reactor);
template struct ReactorMember<&boost::asio::detail::epoll_reactor::epoll_fd_>;

}  // namespace detail

/// The epoll set that `loop` sleeps on.  Borrowed; valid as long as `loop`.
/// Checked with Boost 1.81.
[[nodiscard]] inline int reactor_fd(boost::asio::io_context& loop) {
    return detail::epoll_fd_of(boost::asio::use_service<boost::asio::detail::epoll_reactor>(loop));
}

/// A listening socket that several worker processes wait on, of which the kernel
/// wakes about one per connection.
///
/// Asio registers a socket without EPOLLEXCLUSIVE, so every idle worker wakes for
/// every connection (measured with 32 workers: 4 times the CPU per connection).
/// This class registers the socket itself, in Asio's own epoll set, under Asio's
/// own bookkeeping pointer; start_wait() and `io_context::run()` then work as ever.
/// Two things that look simpler do not work:
///  - an exclusive epoll set nested in Asio's: nesting wakes everybody again;
///  - Asio's set nested in an exclusive one, driven by poll(): a cross-thread
///    post() waits for an unrelated event, because poll() leaves the reactor
///    believing that it is awake.
///
/// The registration is level-triggered: a worker that is woken must accept, or leave().
class SharedListener : public boost::asio::basic_socket<boost::asio::generic::stream_protocol> {
    using Socket = boost::asio::basic_socket<boost::asio::generic::stream_protocol>;

public:
    /// `listener`: a non-blocking listening socket; this object closes it.
    SharedListener(boost::asio::io_context& loop, const protocol_type& protocol, int listener)
        : Socket{loop, protocol, listener},
          reactor_{boost::asio::use_service<boost::asio::detail::epoll_reactor>(loop)},
          epoll_{reactor_fd(loop)} {
        leave();
    }

    /// Enters the kernel's queue of sleepers, at its end.
    void join() {
        epoll_event wanted{};
        wanted.events = EPOLLIN | EPOLLEXCLUSIVE;
        wanted.data.ptr = impl_.get_implementation().reactor_data_;
        check(::epoll_ctl(epoll_, EPOLL_CTL_ADD, native_handle(), &wanted), "join accept queue");
    }

    /// Leaves it: at the connection limit, before a pause, before a drain.  Leaving twice is no error.
    ///
    /// The kernel may already have chosen this worker for a connection that is
    /// still queued, and tells nobody else; accept once more after leaving, or
    /// have a sibling look, or that client waits until the next one comes.
    void leave() {
        if (::epoll_ctl(epoll_, EPOLL_CTL_DEL, native_handle(), nullptr) == -1 && errno != ENOENT)
            throw_errno("leave accept queue");
    }

    /// Moves to the end of the queue.  The kernel prefers the sleeper that came
    /// first, so without this one worker gets nearly everything; every 16
    /// accepts is often enough.
    void yield_turn() {
        leave();
        join();
    }

    /// Completes `operation`, whose perform() says `not_done` when it is first asked, at the next event.
    ///
    /// What `async_wait(wait_read)` does, but for the EPOLL_CTL_MOD by which it renews the registration: the kernel
    /// refuses that to an exclusive one, and a level-triggered one needs none.
    void start_wait(boost::asio::detail::reactor_op& operation) {
        constexpr auto read_op = boost::asio::detail::epoll_reactor::read_op;
        constexpr bool is_continuation = false;
        constexpr bool ask_before_waiting = true;  // once: perform() says that an event must come first
        reactor_.start_op(read_op, native_handle(), impl_.get_implementation().reactor_data_, &operation,
                          is_continuation, ask_before_waiting);
    }

private:
    boost::asio::detail::epoll_reactor& reactor_;
    int epoll_;
};

}  // namespace preforkd
