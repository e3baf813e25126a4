#include "daemon/worker/handler/handler_hooks.hpp"

#include <utility>

#include "preforkd/log.hpp"

namespace preforkd {

namespace {

/// Call it in a catch block.
void log_failure(const char* hook) noexcept {
    try {
        throw;
    } catch (const std::exception& error) {
        log(LogLevel::Error, "handler failed in {hook}: {cause}", {{"hook", hook}, {"cause", error.what()}});
    } catch (...) { log(LogLevel::Error, "handler failed in {hook}", {{"hook", hook}}); }
}

void act(Handler& handler) noexcept {
    try {
        handler.service_actions();
    } catch (...) { log_failure("service_actions"); }
}

void tell(Handler& handler) noexcept {
    try {
        handler.worker_draining();
    } catch (...) { log_failure("worker_draining"); }
}

void dismiss(Handler& handler) noexcept {
    try {
        handler.worker_leaving();
    } catch (...) { log_failure("worker_leaving"); }
}

}  // namespace

void start_handlers(HandlerSet& handlers, WorkerCore& core) {
    handlers.for_each([&core](Handler& handler) { handler.worker_started(core.worker()); });
}

void let_handlers_act(HandlerSet& handlers) noexcept { handlers.for_each(act); }

void tell_of_drain(HandlerSet& handlers, WorkerCore& core) noexcept {
    core.drain();
    if (handlers.begin_drain()) handlers.for_each(tell);
}

void dismiss_handlers(HandlerSet& handlers) noexcept { handlers.for_each(dismiss); }

void call_subscriber(const std::function<void()>& hear) noexcept {
    try {
        hear();
    } catch (...) { log_failure("a subscription"); }
}

void report_failure(Handler& handler, const Endpoint& peer, std::exception_ptr failure) noexcept {
    try {
        handler.handle_error(peer, std::move(failure));
    } catch (const std::exception& error) {
        log(LogLevel::Error, "handle_error() itself failed: {cause}", {{"cause", error.what()}});
    } catch (...) { log(LogLevel::Error, "handle_error() itself failed"); }
}

void report_timeout(Handler& handler, const Endpoint& peer) noexcept {
    try {
        handler.handle_timeout(peer);
    } catch (...) { report_failure(handler, peer, std::current_exception()); }
}

}  // namespace preforkd
