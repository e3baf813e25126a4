#pragma once
#include <cstddef>
#include <vector>

#include "common/control/status_report.hpp"
#include "common/net/listener.hpp"

namespace preforkd {

/// How full the queue of a listening or datagram socket is, where the kernel tells: TCP and UDP always, Unix stream
/// sockets where it has unix_diag, Unix datagrams never.  Takes some microseconds.
/// Source: tcp(7), TCP_INFO; socket(7), SO_MEMINFO; sock_diag(7).
[[nodiscard]] QueueDepth queue_depth(const Listener& listener) noexcept;

/// How many clients, or datagrams, the kernel has dropped since the socket was made, because its queue was full; unset
/// where it does not count them: a Unix client waits.  Source: socket(7), SO_MEMINFO; sock_diag(7), SK_MEMINFO_DROPS.
[[nodiscard]] std::optional<std::uint64_t> dropped_at(const Listener& listener) noexcept;

/// Whether a client, or a datagram, is in the queue of any that is this service's.
[[nodiscard]] bool somebody_waits(const std::vector<Listener>& listeners, std::size_t service);

}  // namespace preforkd
