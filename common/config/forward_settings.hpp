#pragma once
// Where the handler `forward` sends its clients, and how.  Pure data.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "preforkd/endpoint.hpp"

namespace preforkd {

struct ForwardTarget {
    Endpoint endpoint{};  ///< tcp or unix; an empty host is this machine
    bool tls = false;
    friend bool operator==(const ForwardTarget&, const ForwardTarget&) = default;
};

/// Whether a target is told whose connection it gets, with the PROXY protocol of which version.
enum class SendProxy { No, V1, V2 };

struct ForwardSettings {
    std::vector<ForwardTarget> to{};  ///< which take turns; empty: --to
    SendProxy send_proxy = SendProxy::No;
    std::optional<std::chrono::milliseconds> connect_timeout{};  ///< TLS included; unset 5 s
    // Of targets that speak TLS.
    std::string ca{};    ///< a file, PEM: who signs their certificates; empty: those whom the system believes
    std::string name{};  ///< that their certificates have to be for; empty: the host of each
    friend bool operator==(const ForwardSettings&, const ForwardSettings&) = default;
};

inline constexpr std::chrono::milliseconds default_connect_timeout{5'000};

/// Throws std::invalid_argument: `expected ..., not ...`.
[[nodiscard]] std::vector<ForwardTarget> parse_targets(std::string_view text);

/// The way back.
[[nodiscard]] std::string to_string(const ForwardTarget& target);
[[nodiscard]] std::string to_string(const std::vector<ForwardTarget>& targets);

}  // namespace preforkd
