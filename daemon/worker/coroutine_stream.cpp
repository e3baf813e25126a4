#include "daemon/worker/coroutine_stream.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "daemon/worker/connection_core.hpp"
#include "daemon/worker/handler_failure.hpp"
#include "daemon/worker/request_limit.hpp"

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
    if (core.timed_out()) report_timeout(handler, client.peer());
    if (failure) report_failure(handler, client.peer(), failure);
    try {
        co_await handler.finish(client);
    } catch (...) { report_failure(handler, client.peer(), std::current_exception()); }
}

awaitable<void> serve(Loop& loop, StreamHandler& handler, AcceptedStream stream, std::function<void()> ended) {
    {
        ConnectionCore core{loop, std::move(stream.fd), stream.address};
        const RequestLimit limit{core};
        co_await run_hooks(handler, core);
        const bool output_ended = core.output_ended;
        loop.linger.finish(core.release(), stream.linger, output_ended);
    }
    ended();
    // co_spawn() posts its completion when the coroutine never had to wait, which costs a second epoll_wait(2) for each
    // short connection, so that it is not called inside co_spawn(); ours is detached, which does nothing.
    (co_await boost::asio::detail::awaitable_thread_has_context_switched{}) = true;
}

awaitable<void> serve_alone(Loop& loop, StreamHandler& handler, AcceptedStream stream, UniqueFd& served) {
    {
        ConnectionCore core{loop, std::move(stream.fd), stream.address};
        const RequestLimit limit{core};
        co_await run_hooks(handler, core);
        served = core.release();
    }
    loop.reactor.stop();  // a StopWatch that is watched would keep it running
    (co_await boost::asio::detail::awaitable_thread_has_context_switched{}) = true;
}

}  // namespace

void start_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream, std::function<void()> ended) {
    boost::asio::co_spawn(loop.reactor.context, serve(loop, handler, std::move(stream), std::move(ended)),
                          boost::asio::detached);
}

UniqueFd run_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream) {
    UniqueFd served;
    boost::asio::co_spawn(loop.reactor.context, serve_alone(loop, handler, std::move(stream), served),
                          boost::asio::detached);
    loop.reactor.run();
    return served;
}

}  // namespace preforkd
