#include "daemon/worker/accept/connection_account.hpp"

#include <chrono>
#include <string>
#include <utility>

#include "preforkd/log.hpp"

namespace preforkd {

namespace {

const char* name_of(ConnectionOutcome outcome) noexcept {
    switch (outcome) {
        case ConnectionOutcome::Ok: return "ok";
        case ConnectionOutcome::Error: return "error";
        case ConnectionOutcome::IdleTimeout: return "idle_timeout";
        case ConnectionOutcome::RequestTimeout: return "request_timeout";
        case ConnectionOutcome::Cut: return "cut";
        case ConnectionOutcome::Refused: return "refused";
    }
    return "";
}

double milliseconds_since(Clock::time_point begun) {
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
    return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void ConnectionAccount::close() {
    const auto entries = std::exchange(entries_, nullptr);
    if (!entries) return;
    log(LogLevel::Info,
        "connection from {peer} ended after {duration_ms} ms: {outcome}, {received_bytes} bytes received, {sent_bytes} "
        "sent",
        {{"peer", address_of(entries->peer.to_endpoint(SOCK_STREAM))},
         {"duration_ms", milliseconds_since(entries->begun)},
         {"outcome", name_of(entries->outcome)},
         {"received_bytes", entries->received_bytes},
         {"sent_bytes", entries->sent_bytes},
         {"listener", to_string(entries->listener.local)}});
}

void ConnectionAccount::close_without_bytes() {
    const auto entries = std::exchange(entries_, nullptr);
    if (!entries) return;
    log(LogLevel::Info, "connection from {peer} ended after {duration_ms} ms: {outcome}",
        {{"peer", address_of(entries->peer.to_endpoint(SOCK_STREAM))},
         {"duration_ms", milliseconds_since(entries->begun)},
         {"outcome", name_of(entries->outcome)},
         {"listener", to_string(entries->listener.local)}});
}

}  // namespace preforkd
