#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace preforkd {

/// How serving a connection ended.  Append-only: their numbers are in the memory that images share.
enum class ConnectionOutcome : std::uint8_t {
    Ok,
    Error,           ///< the handler threw, the program failed, or the connection broke
    IdleTimeout,     ///< the client was waited for in vain
    RequestTimeout,  ///< --request-timeout
    Cut,             ///< the worker had to leave, or has died
    Refused,         ///< before there was a handler: by the rules and limits of the listener
    Handshake,       ///< TLS was not agreed on
    Unverified,      ///< the handler's verify() said no
};
inline constexpr std::array outcome_names{"ok",  "error",   "idle_timeout",  "request_timeout",
                                          "cut", "refused", "tls_handshake", "unverified"};
inline constexpr std::size_t connection_outcomes = outcome_names.size();

[[nodiscard]] constexpr const char* name_of(ConnectionOutcome outcome) noexcept {
    return outcome_names[static_cast<std::size_t>(outcome)];
}

}  // namespace preforkd
