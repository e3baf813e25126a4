#pragma once
// The sockets of a running service under new settings.
#include <string>
#include <vector>

#include "common/net/listener.hpp"

namespace preforkd {

struct Takeover {
    std::vector<Listener> listeners{};      ///< sockets that both have: duplicates, with the new settings
    std::vector<ListenSettings> unbound{};  ///< endpoints that are new
    std::vector<std::string> kept{};        ///< what a bound socket cannot be given: `tcp://:80 v6only`
    std::vector<std::string> lost{};        ///< of `unbound`, those we bound, and whose file has gone or been replaced
    std::vector<std::string> out_of_reach{};  ///< of `listeners`, those that systemd passed, and whose file has gone
};

/// Whether a socket of `bound` settings serves the endpoint that is `wanted`: but for what a bound socket keeps, they
/// are the same.
[[nodiscard]] bool serves(const ListenSettings& bound, const ListenSettings& wanted);

/// Whether the path of a Unix socket that we bound leads to something else by now, or to nothing: no client finds it.
[[nodiscard]] bool has_lost_its_file(const Listener& listener) noexcept;

/// Which of `current` serve which of `endpoints`.  Those we bound are told by the text of their endpoint, those
/// that systemd passed as at start-up.  A Unix socket that no path leads to any more serves none, if we bound it: it is
/// to be bound anew.  Changes no socket.
/// Throws OperatorError (78) when a passed socket matches no endpoint, or an fd://NAME has no socket.
[[nodiscard]] Takeover take_over_sockets(const std::vector<Listener>& current,
                                         const std::vector<ListenSettings>& endpoints, bool are_default);
/// The same of what workers accept from.
[[nodiscard]] inline Takeover take_over_sockets(const std::vector<Listener>& current, const Settings& settings) {
    return take_over_sockets(current, settings.listen, settings.listen_is_default);
}

/// Gives the sockets we bound what their settings ask for and a bound socket can be given, for all processes that share
/// them. Throws std::system_error.
void change_sockets(const std::vector<Listener>& listeners, std::optional<int> default_backlog);

/// Which of `listeners` are in none of `others`, by their index.
[[nodiscard]] std::vector<std::uint32_t> only_in(const std::vector<Listener>& listeners,
                                                 const std::vector<Listener>& others);

}  // namespace preforkd
