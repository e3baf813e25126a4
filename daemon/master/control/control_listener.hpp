#pragma once
// The socket at which the daemon can be asked.
#include <optional>

#include "common/base/unique_fd.hpp"
#include "common/config/settings.hpp"
#include "common/net/unix_path.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

struct ControlListener {
    UniqueFd fd{};
    Endpoint local{};
    std::optional<FileIdentity> file{};  ///< what has to be removed at the end
};

/// What the environment says of it; pointers may be null.
struct ControlSurroundings {
    const char* runtime_directory = nullptr;  ///< RUNTIME_DIRECTORY
    const char* xdg_runtime_dir = nullptr;    ///< XDG_RUNTIME_DIR
};

/// Binds it, mode 0600, in place of a stale socket: where --control says, else in $RUNTIME_DIRECTORY, else by hand.
///
/// By hand it is called --name, or NAME-PID where a live daemon is called so.  Nobody else can have a hand in it: its
/// directory is made and used only as this user's own, 0700, and while a name is taken it is locked.
/// A daemon serves without it too: then the log says why, and how to get one; nullopt, as for `off`.  What cannot be
/// had at wanted_control() may be had later, when a daemon that is just ending has left it.
[[nodiscard]] std::optional<ControlListener> listen_for_control(const Settings& settings,
                                                                const ControlSurroundings& surroundings) noexcept;

/// Where it has to be, as --control or $RUNTIME_DIRECTORY says; nullopt: nowhere, or by hand.
[[nodiscard]] std::optional<Endpoint> wanted_control(const std::string& control,
                                                     const char* runtime_directory) noexcept;

/// Says what listen_for_control() would say of the place that they name, but that an address in use is fine: it may be
/// the running daemon's.  Binds nothing.
void look_at_control(const Settings& settings, const char* runtime_directory) noexcept;

/// The same where one was that has lost its file.
[[nodiscard]] std::optional<ControlListener> listen_again_at(const Endpoint& endpoint) noexcept;

/// The same without a word and without waiting, for who has said already why it cannot be had, and looks from time to
/// time.
[[nodiscard]] std::optional<ControlListener> listen_once_free(const Endpoint& endpoint) noexcept;

/// Removes its file, unless something else has taken the path since.
void remove_socket_file(const ControlListener& listener) noexcept;

}  // namespace preforkd
