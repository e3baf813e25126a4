#pragma once
// Which passed socket serves which endpoint.
#include <string>
#include <vector>

#include "common/net/listener.hpp"
#include "common/systemd/passed_sockets.hpp"

namespace preforkd {

/// Which of `passed` serves which endpoint of `wanted`, and which endpoints are still to be bound.
struct Assignment {
    std::vector<Listener> listeners{};      ///< made from passed sockets, checked, non-blocking, close-on-exec
    std::vector<ListenSettings> unbound{};  ///< endpoints that no passed socket serves
    std::vector<PassedSocket> unwanted{};   ///< our own, from systemd's store, that nobody asks for any more
};

/// Matches by name (fd://NAME; several sockets of one name are all taken), then by family, type and address.
/// `wanted_is_default`: nobody asked for endpoints, so every passed socket is served with the settings of wanted[0].
/// Throws OperatorError (78), naming the descriptor, for one that is no socket, not listening, of a kind we do not
/// serve, or that matches no endpoint; and for an fd://NAME that was not passed.
///
/// A socket of ours from systemd's store (stored_listeners.hpp) is told by its name and matched by family, type and
/// address, when all others have been; it replaces no default, and one that matches nothing is no error.
[[nodiscard]] Assignment assign_passed_sockets(std::vector<PassedSocket> passed,
                                               const std::vector<ListenSettings>& wanted, bool wanted_is_default);

}  // namespace preforkd
