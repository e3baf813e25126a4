#pragma once
// Where a coroutine of Boost.Asio waits for a socket, without an operation that Asio allocates.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <memory>
#include <utility>

#include "preforkd/socket_waiter.hpp"

namespace preforkd {

/// A local variable of a coroutine, which waits by `co_await wait.ended()`.  Once that is suspended, `Wait` is to
/// start(waiter, cancellation slot); it goes on when the waiter is ended.
///
/// Asio calls what it is given with the frame that waits, to move the stack of coroutines out of it; that is how its
/// own operators are made (asio/impl/awaitable.hpp, checked with Boost 1.81).
template <class Wait>
class CoroutineWait : public SocketWaiter {
    using Executor = boost::asio::any_io_executor;
    using Stack = boost::asio::detail::awaitable_async_op_handler<void(), Executor>;
    using Thread = boost::asio::detail::awaitable_thread<Executor>;
    using Frame = boost::asio::detail::awaitable_frame_base<Executor>;

    struct Suspended {
        Thread* operator()(Frame* frame) const {
            wait->suspended(frame);
            return nullptr;  // asked for by its type alone
        }
        CoroutineWait* wait;
    };

public:
    CoroutineWait() noexcept
        : SocketWaiter{[](SocketWaiter& self, bool goes_on) { static_cast<CoroutineWait&>(self).go_on(goes_on); }} {}
    ~CoroutineWait() {}  // the stack has left it
    CoroutineWait(const CoroutineWait&) = delete;
    CoroutineWait& operator=(const CoroutineWait&) = delete;

    [[nodiscard]] Suspended ended() noexcept { return {this}; }

private:
    void suspended(Frame* frame) {
        typename Stack::result_type none;
        std::construct_at(&stack, frame->detach_thread(), none);
        static_cast<Wait&>(*this).start(static_cast<SocketWaiter&>(*this), stack.get_cancellation_slot());
    }

    void go_on(bool resumed) {
        Stack moved{std::move(stack)};  // which may destroy this
        std::destroy_at(&stack);
        if (resumed) moved();
    }

    union {
        Stack stack;
    };
};

}  // namespace preforkd
