#include "daemon/worker/accept/connection_account.hpp"

#include <chrono>
#include <string>
#include <utility>

#include "preforkd/log.hpp"

namespace preforkd {

namespace {

double milliseconds_since(Clock::time_point begun) {
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
    return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void ConnectionAccount::close(bool bytes_are_known) {
    const auto entries = std::exchange(entries_, nullptr);
    if (!entries) return;
    const std::string peer = address_of(entries->peer.to_endpoint(SOCK_STREAM));
    const std::string listener = to_string(entries->listener);
    const double duration_ms = milliseconds_since(entries->begun);
    const char* const outcome = name_of(outcome_);
    if (!bytes_are_known)
        return log(LogLevel::Info, "connection from {peer} ended after {duration_ms} ms: {outcome}",
                   {{"peer", peer}, {"duration_ms", duration_ms}, {"outcome", outcome}, {"listener", listener}});
    log(LogLevel::Info,
        "connection from {peer} ended after {duration_ms} ms: {outcome}, {received_bytes} bytes received, {sent_bytes} "
        "sent",
        {{"peer", peer},
         {"duration_ms", duration_ms},
         {"outcome", outcome},
         {"received_bytes", entries->received_bytes},
         {"sent_bytes", entries->sent_bytes},
         {"listener", listener}});
}

}  // namespace preforkd
