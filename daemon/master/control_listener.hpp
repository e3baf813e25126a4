#pragma once
// The socket at which the daemon can be asked.
#include <optional>

#include "common/settings.hpp"
#include "common/unique_fd.hpp"
#include "common/unix_path.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

struct ControlListener {
    UniqueFd fd{};
    Endpoint local{};
    std::optional<FileIdentity> file{};  ///< what has to be removed at the end
};

/// Where --control, or else $RUNTIME_DIRECTORY, says; nullopt for `off`.
[[nodiscard]] std::optional<Endpoint> control_endpoint(const Settings& settings, const char* runtime_directory);

/// Binds it, mode 0600, in place of a stale socket.  A daemon serves without it too: what is in the way is a warning,
/// and nullopt the result.
[[nodiscard]] std::optional<ControlListener> listen_for_control(const Endpoint& endpoint) noexcept;

/// The same where one was that has lost its file.
[[nodiscard]] std::optional<ControlListener> listen_again_at(const Endpoint& endpoint) noexcept;

/// Removes its file, unless something else has taken the path since.
void remove_socket_file(const ControlListener& listener) noexcept;

}  // namespace preforkd
