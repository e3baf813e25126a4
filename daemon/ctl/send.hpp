#pragma once
// preforkctl send: the classic client, and a health check.
#include <chrono>
#include <optional>
#include <string>

#include "preforkd/endpoint.hpp"

namespace preforkd {

struct SendRequest {
    Endpoint endpoint{};
    std::string text = "hello from client";   ///< sent as it is, then the input is closed
    std::optional<std::string> expect{};      ///< the answer must contain it; reading ends once it does
    std::chrono::milliseconds timeout{5000};  ///< for the whole conversation; zero: for ever
};

/// Connects to the first address that answers, sends, half-closes, and returns the answer up to its end.
/// Throws std::runtime_error with one sentence when there is no connection, no end of the answer in time, or not the
/// expected answer.
[[nodiscard]] std::string send_and_receive(const SendRequest& request);

}  // namespace preforkd
