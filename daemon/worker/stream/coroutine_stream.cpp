#include "daemon/worker/stream/coroutine_stream.hpp"

#include <optional>
#include <type_traits>
#include <utility>

#include "daemon/worker/handler/handler_hooks.hpp"
#include "daemon/worker/stream/connection_core.hpp"
#include "daemon/worker/stream/connection_tls.hpp"
#include "daemon/worker/stream/request_limit.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

/// The bottom of a stack of coroutines: what co_spawn() makes, without what it brings along.
using Bottom = asio::awaitable<asio::detail::awaitable_thread_entry_point>;

struct Plain {};

/// What a connection has of it for as long as it lasts.
void take(ConnectionCore& core, AcceptedStream& accepted) {
    core.account = std::move(accepted.account);
    core.set_announced(std::move(accepted.announced));
    if (accepted.client.listener != nullptr) core.traffic = &accepted.client.listener->traffic();
}

/// Apart, or GCC keeps the endpoint in the frame.
[[gnu::noinline]] bool is_welcome(StreamHandler& handler, const ConnectionCore& core) {
    return handler.verify(core.address().to_endpoint(SOCK_STREAM));
}

/// What comes after a connection that is one of many in a loop.
class EndInLoop {
public:
    EndInLoop(const CountedClient& client, CountedPlace place) : client_{client}, place_{std::move(place)} {}

    void operator()(Loop& loop, ServedStream& served) {
        loop.linger.finish(std::move(served.fd), client_.listener->linger(), served.output_ended);
        place_.give_back();
        client_.listener->acceptor().ended(client_, served.outcome);
    }

private:
    // In an order without gaps, as an idle connection's frame has it.
    CountedClient client_;
    CountedPlace place_;
};

/// Which way a connection goes.
template <class Tls, class Over>
struct Course {
    [[no_unique_address]] Tls tls;  ///< the listener, or Plain
    Over over;
};

/// Runs verify, setup, serve and finish, none of which can end more than this connection; then hands it to `over`.
///
/// One coroutine and not three, with co_spawn() for the lowest: most connections are idle most of the time, and what
/// they cost then is frames.  So those without TLS have one without what it takes.
///
/// `accepted` is there until it first waits: what is needed of it later on is taken before.
template <class Tls, class Over>
Bottom serve(Loop& loop, StreamHandler& handler, AcceptedStream& accepted, Course<Tls, Over> course) {
    ServedStream stream;
    try {
        ConnectionCore core{loop, std::move(accepted.fd), accepted.address};
        take(core, accepted);
        const auto limit = RequestLimit::of(core);
        if constexpr (!std::is_same_v<Tls, Plain>)
            if (!co_await begin_tls(core, *course.tls)) {
                core.account.close();
                stream = {.fd = core.release(), .outcome = core.account.outcome()};
                course.over(loop, stream);
                co_return;
            }
        Connection client{core};
        std::exception_ptr failure;
        bool is_set_up = false;
        try {
            if (is_welcome(handler, core)) {
                co_await handler.setup(client);
                is_set_up = true;
                co_await handler.serve(client);
            } else {
                core.account.failed(ConnectionOutcome::Unverified);
            }
        } catch (...) {
            failure = std::current_exception();  // a catch block cannot wait
        }
        if (core.timed_out()) report_timeout(handler, client.peer());
        if (failure) {
            core.account.failed(ConnectionOutcome::Error);
            report_failure(handler, client.peer(), failure);
        }
        if (is_set_up) try {
                co_await handler.finish(client);
            } catch (...) {
                core.account.failed(ConnectionOutcome::Error);
                report_failure(handler, client.peer(), std::current_exception());
            }
        // What was left half done shall not look whole.
        if constexpr (!std::is_same_v<Tls, Plain>)
            if (!failure && !core.was_canceled() && !core.half_written && !core.output_ended)
                (void)co_await end_tls(core);
        core.account.close();
        stream = {.fd = core.release(), .output_ended = core.output_ended, .outcome = core.account.outcome()};
    } catch (const std::exception& error) {  // no memory, no descriptor
        log(LogLevel::Error, "cannot serve a client: {cause}", {{"cause", error.what()}});
    }
    course.over(loop, stream);
}

/// co_spawn() would also post the completion of a coroutine that never had to wait, which costs a second epoll_wait(2)
/// for each short connection.
void launch(Loop& loop, Bottom bottom) {
    asio::detail::awaitable_thread<asio::any_io_executor>{
        std::move(bottom), loop.reactor.context.get_executor(), {}, {}}
        .launch();
}

template <class Over>
void start(Loop& loop, StreamHandler& handler, AcceptedStream& stream, Over over) {
    if (stream.speaks_tls)
        launch(loop, serve<const Listener*, Over>(loop, handler, stream, {&stream.listener, std::move(over)}));
    else
        launch(loop, serve<Plain, Over>(loop, handler, stream, {{}, std::move(over)}));
}

}  // namespace

void start_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream) {
    start(loop, handler, stream, EndInLoop{stream.client, std::move(stream.place)});
}

ServedStream run_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream) {
    std::optional<ServedStream> result;
    start(loop, handler, stream, [&result](Loop& home, ServedStream& served) {
        result = std::move(served);
        home.reactor.stop();  // a StopWatch that is watched would keep it running
    });
    if (!result) loop.reactor.run();  // it waits
    return result ? std::move(*result) : ServedStream{};
}

}  // namespace preforkd
