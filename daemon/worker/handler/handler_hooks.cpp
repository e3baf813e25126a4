#include "daemon/worker/handler/handler_hooks.hpp"

#include <exception>

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

void dismiss(Handler& handler) noexcept {
    try {
        handler.worker_leaving();
    } catch (...) { log_failure("worker_leaving"); }
}

}  // namespace

void start_handlers(HandlerSet& handlers) {
    handlers.for_each([](Handler& handler) { handler.worker_started(); });
}

void let_handlers_act(HandlerSet& handlers) noexcept { handlers.for_each(act); }

void dismiss_handlers(HandlerSet& handlers) noexcept { handlers.for_each(dismiss); }

}  // namespace preforkd
