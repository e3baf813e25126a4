#pragma once
// One try at one address: open, set, bind, listen.
#include <optional>

#include "common/base/unique_fd.hpp"
#include "common/config/settings.hpp"
#include "common/net/socket_address.hpp"
#include "common/net/unix_path.hpp"

namespace preforkd {

struct BindAttempt {
    UniqueFd fd{};
    std::optional<FileIdentity> file{};  ///< Unix paths
    int error = 0;                       ///< errno of socket(2), bind(2) or listen(2), on which the caller branches
};

/// Opens a socket for `address` with what `settings` ask for, non-blocking and close-on-exec from the start.
/// Throws what bind_unix_path() throws, and std::system_error where an option cannot be set.
[[nodiscard]] BindAttempt try_bind(const ListenSettings& settings, const SocketAddress& address, int backlog);

/// The same without taking the address, which may be in use: whether the machine and this user's rights allow it.  The
/// socket is bound nowhere, or to a port that the kernel chose.
[[nodiscard]] BindAttempt look_at_bind(const ListenSettings& settings, const SocketAddress& address);

/// From here up anybody may bind.  Source: ip(7), ip_unprivileged_port_start
[[nodiscard]] int first_free_port();

/// try_bind() for UDP, where `old`, a socket of ours, has the address: what comes from now on is the new one's.
[[nodiscard]] BindAttempt try_bind_beside(int old, const ListenSettings& settings, const SocketAddress& address);

/// try_bind() for TCP, at the address of `first`, a socket of ours, which lets others of this user have it from now on.
/// Without `backlog` it does not listen yet, and no client comes there.
[[nodiscard]] BindAttempt try_bind_queue(int first, const ListenSettings& settings, const SocketAddress& address,
                                         std::optional<int> backlog);

/// Whether who accepts from a socket waits there, O_NONBLOCK.
enum class Waits {
    Never,
    AsItIs,  ///< programs have set it as they like it
};

/// Gives a bound socket what `settings` ask for and a bound socket can still be given: backlog, nodelay, keepalive,
/// rcvbuf.  Takes back what a worker, who shares the socket, may have set on it to keep clients out, as far as that can
/// be taken back.  Throws std::system_error.
void change_options(int fd, const ListenSettings& settings, int backlog, Waits waits = Waits::Never);

}  // namespace preforkd
