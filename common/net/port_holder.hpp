#pragma once
// Which process holds an address that cannot be bound: what `ss -lp` would show.
#include <sys/types.h>

#include <optional>
#include <string>

#include "common/net/socket_address.hpp"

namespace preforkd {

struct PortHolder {
    pid_t pid{};
    std::string name{};  ///< the process's own name for itself: cut at 15 characters, any bytes
};

/// systemd has the sockets of its .socket units, and those that services have given into its store.
[[nodiscard]] inline bool is_service_manager(const PortHolder& holder) { return holder.name == "systemd"; }

/// The process with the lowest pid, systemd only where nobody else has, that has a socket on `address`, or on one that
/// overlaps it: `::` holds 127.0.0.1 too.  nullopt when nobody has, when it belongs to another user or namespace and
/// /proc keeps it from us, and when it is not found within 0.2 s of processor time.  A hint for a message: it may be
/// gone by the time it is read.  Source: sock_diag(7), proc(5).
[[nodiscard]] std::optional<PortHolder> find_holder(const SocketAddress& address, int socket_type);

}  // namespace preforkd
