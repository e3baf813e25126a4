#pragma once
// Who is in the queue of a listening socket.
#include <cstdint>
#include <optional>
#include <vector>

#include "preforkd/endpoint.hpp"

namespace preforkd {

/// Those who are connected and not accepted yet, in order of size; each has a number that no other client has.  Unset
/// where the kernel does not tell (no sock_diag, a sandbox), or not of all.  Takes as long as the machine has TCP
/// connections.  Source: sock_diag(7); idiag_inode is 0 of a connection that nobody has accepted.
[[nodiscard]] std::optional<std::vector<std::uint64_t>> queued_clients(int socket, Transport transport) noexcept;

/// Whether each of `before` is still among `now`.
[[nodiscard]] bool all_still_wait(const std::vector<std::uint64_t>& before, const std::vector<std::uint64_t>& now);

}  // namespace preforkd
