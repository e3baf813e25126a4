#include "daemon/worker/coroutine_stream.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "daemon/worker/connection_core.hpp"

namespace preforkd {

namespace {

/// setup, serve and finish, none of which can end more than this connection.
awaitable<void> run_hooks(StreamHandler& handler, ConnectionCore& core) {
    Connection client{core};
    std::exception_ptr failure;
    try {
        if (!handler.verify(client.peer())) co_return;
        co_await handler.setup(client);
        co_await handler.serve(client);
    } catch (...) {
        failure = std::current_exception();  // a catch block cannot wait
    }
    if (core.timed_out()) handler.handle_timeout(client.peer());
    if (failure) handler.handle_error(client.peer(), failure);
    try {
        co_await handler.finish(client);
    } catch (...) {
        failure = std::current_exception();
        handler.handle_error(client.peer(), failure);
    }
}

awaitable<void> serve(Loop& loop, StreamHandler& handler, AcceptedStream stream, std::function<void()> ended) {
    {
        ConnectionCore core{loop, std::move(stream.fd), stream.address};
        co_await run_hooks(handler, core);
        const bool output_ended = core.output_ended;
        loop.linger.finish(core.release(), stream.linger, output_ended);
    }
    ended();
    // co_spawn() posts its completion when the coroutine never had to wait, which costs a second epoll_wait(2) for each
    // short connection, so that it is not called inside co_spawn(); ours is detached, which does nothing.
    (co_await boost::asio::detail::awaitable_thread_has_context_switched{}) = true;
}

}  // namespace

void start_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream, std::function<void()> ended) {
    boost::asio::co_spawn(loop.reactor.context, serve(loop, handler, std::move(stream), std::move(ended)),
                          boost::asio::detached);
}

}  // namespace preforkd
