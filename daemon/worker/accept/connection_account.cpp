#include "daemon/worker/accept/connection_account.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "common/log/log_fields.hpp"

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
    std::string sentence = "connection from {peer} ended after {duration_ms} ms: {outcome}";
    std::array<LogField, 7> fields{{{"peer", peer},
                                    {"duration_ms", milliseconds_since(entries->begun)},
                                    {"outcome", name_of(outcome_)},
                                    {"listener", listener}}};
    std::size_t known = 4;
    if (bytes_are_known) {
        sentence += ", {received_bytes} bytes received, {sent_bytes} sent";
        fields[known++] = {"received_bytes", entries->received_bytes};
        fields[known++] = {"sent_bytes", entries->sent_bytes};
    }
    if (entries->waited != not_measured) {
        sentence += ", {accept_wait_ms} ms in the accept queue";
        fields[known++] = {"accept_wait_ms", std::int64_t{entries->waited.count()}};
    }
    log_fields(LogLevel::Info, sentence, std::span{fields}.first(known));
}

}  // namespace preforkd
