#include "daemon/worker/handler/handler_failure.hpp"

#include "preforkd/log.hpp"

namespace preforkd {

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
