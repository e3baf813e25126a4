#pragma once
// The file of a Unix socket: when it may be replaced, who may connect to it, when it is removed.
#include <sys/types.h>

#include <string>

#include "common/config/settings.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

/// Tells a file from another that has taken its path since.
struct FileIdentity {
    dev_t device{};
    ino_t inode{};
    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

enum class PathOccupant {
    Nothing,
    StaleSocket,  ///< its process is gone
    LiveSocket,   ///< bound by a process that lives
    Unknown,      ///< a socket that we have no right to ask
    NoSocket,     ///< a regular file, a directory, a symbolic link ...
};

/// What stands at the path of `address`.  Asking leaves no trace at a live server.
[[nodiscard]] PathOccupant occupant_of(const SocketAddress& address);

/// Binds `fd` to the path of `settings` with the asked mode, owner and group, in place of a stale socket.
///
/// A stream socket must not listen yet: then nobody can connect before mode and owner are right.
/// Throws OperatorError: 78 for an unknown user or group, and for what is no socket in its place; 77 without privilege.
/// Throws std::system_error where bind(2) fails, and with EADDRINUSE for a live socket.  In either case no file of ours
/// is left.
[[nodiscard]] FileIdentity bind_unix_path(int fd, const ListenSettings& settings, const SocketAddress& address);

/// Throws what bind_unix_path() would throw, and changes nothing.  A live socket is fine, as it may be the running
/// daemon's.
void look_at_unix_path(const ListenSettings& settings, const SocketAddress& address);

/// Gives the socket file of `settings` the owner and mode they ask for; false if it is not `identity`.  Throws as
/// bind_unix_path().
[[nodiscard]] bool set_owner_and_mode(const ListenSettings& settings, const FileIdentity& identity);

/// Warns when --listen `settings` lets others in by its mode, into a directory that only root may enter: systemd keeps
/// what a service with DynamicUser= has below `private`, and the service itself sees that open.
void warn_of_private_directory(const ListenSettings& settings);

/// Whether `path` still is `identity`.
[[nodiscard]] bool is_socket_at(const std::string& path, const FileIdentity& identity) noexcept;

/// Removes `path` if it still is `identity`.
void remove_if_same(const std::string& path, const FileIdentity& identity) noexcept;

}  // namespace preforkd
