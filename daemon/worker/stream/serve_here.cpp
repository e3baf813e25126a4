#include "daemon/worker/stream/serve_here.hpp"

#include <exception>

#include "daemon/worker/handler/handler_hooks.hpp"
#include "daemon/worker/stream/blocking_core.hpp"
#include "daemon/worker/stream/coroutine_stream.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

ServedStream serve_blocking(BlockingHandler& handler, AcceptedStream stream, const ServeHere& how) {
    BlockingCore core{std::move(stream.fd), stream.address, how};
    if (stream.client.listener != nullptr) core.traffic = stream.client.listener->traffic();
    core.account = std::move(stream.account);
    core.announced = std::move(stream.announced);
    BlockingConnection client{core};
    if (stream.speaks_tls && !core.begin_tls(stream.listener)) {
        core.account.close();
        return {.fd = std::move(core.fd), .outcome = core.account.outcome()};
    }
    std::exception_ptr failure;
    bool is_set_up = false;
    try {
        if (handler.verify(client.peer())) {
            handler.setup(client);
            is_set_up = true;
            handler.serve(client);
        } else {
            core.account.failed(ConnectionOutcome::Unverified);
        }
    } catch (...) { failure = std::current_exception(); }
    (void)core.flush();
    if (core.timed_out) report_timeout(handler, client.peer());
    const auto report = [&](const std::exception_ptr& cause) {
        core.account.failed(ConnectionOutcome::Error);
        report_failure(handler, client.peer(), cause);
    };
    if (failure) report(failure);
    if (is_set_up) try {
            handler.finish(client);
        } catch (...) { report(std::current_exception()); }
    (void)core.flush();
    // What was left half done shall not look whole.
    if (core.tls && !failure && !core.was_canceled && !core.output_ended) (void)core.end_output();
    core.account.close();
    return {.fd = std::move(core.fd), .output_ended = core.output_ended, .outcome = core.account.outcome()};
}

ServedStream serve_coroutine(StreamHandler& handler, AcceptedStream stream, const ServeHere& how) {
    // A record of this request's own counts nothing, and the loop's idea of idle is that nothing is open.
    if (how.record.active.load(std::memory_order_relaxed) == 0) count(how.record.active);
    Loop loop{how.record, how.idle_timeout, 0};
    loop.request_timeout = how.request_timeout;
    loop.traffic = how.traffic;
    loop.notice = &how.stop;
    // A handler that never waits costs no epoll set: Asio makes it when it is first asked to wait.
    loop.on_first_wait = [&] {
        how.stop.before_first_wait();
        const auto cancel_if_hurried = [&] {
            if (how.stop.hurried()) loop.waits.cancel_all();
        };
        cancel_if_hurried();
        if (how.stop.fd() < 0 || loop.waits.canceled()) return;
        loop.reactor.watch(how.stop.fd(), [&loop, &how, cancel_if_hurried] {
            how.stop.hear();
            if (!loop.draining && how.stop.draining()) loop.drain();
            cancel_if_hurried();
            // It may stay readable for ever.
            if (loop.waits.canceled()) loop.reactor.forget(how.stop.fd());
        });
    };
    return run_coroutine(loop, handler, std::move(stream));
}

}  // namespace

ServedStream serve_here(const AnyStreamHandler& handler, AcceptedStream stream, const ServeHere& how) noexcept {
    try {
        if (const auto* blocking = std::get_if<BlockingHandler*>(&handler))
            return serve_blocking(**blocking, std::move(stream), how);
        return serve_coroutine(*std::get<StreamHandler*>(handler), std::move(stream), how);
    } catch (const std::exception& error) {
        log(LogLevel::Error, "cannot serve a client: {cause}", {{"cause", error.what()}});
    } catch (...) { log(LogLevel::Error, "cannot serve a client"); }
    return {};
}

}  // namespace preforkd
