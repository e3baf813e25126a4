#pragma once
// Several sockets at one address, queues=: the kernel spreads clients over them, and each has a lock of its own.
#include <cstddef>
#include <optional>
#include <vector>

#include "common/net/listener.hpp"

namespace preforkd {

/// When a socket that is added begins to listen: at a reload once there are workers who serve its queue, until then no
/// client comes there.
enum class Listens { AtOnce, Later };

/// Opens the sockets that the endpoints of `listeners` ask for and have not, beside those they have.  Throws as
/// bind_listeners() does.
///
/// The first of an address was bound alone, so that two daemons never share one by mistake.  Source: socket(7),
/// SO_REUSEPORT, which Linux lets be set after bind(2) and listen(2), too.
[[nodiscard]] std::vector<Listener> open_more_queues(const std::vector<Listener>& listeners,
                                                     std::optional<int> default_backlog, Listens when);

/// Whether a reload can do what `after` asks for.
[[nodiscard]] bool may_change_queues(const ListenSettings& before, const ListenSettings& after);

/// Tells those at one address apart: Listener::queue, Listener::queues.  They are in the kernel's order, which is that
/// of their listen(2): open_more_queues() adds at the end, and of those that go the last is shut down first.
void number_queues(std::vector<Listener>& listeners);

/// Whether `listener` is one that `wanted` has no use for, and that is shut down by now: a reload lets go of it.
[[nodiscard]] bool is_left_over(const Listener& listener, const ListenSettings& wanted) noexcept;

/// The kernel puts the last socket of an address where one was that is shut down.  Where a worker has done that the
/// order of the others is lost: Listener::order_lost.
void note_lost_order(std::vector<Listener>& listeners) noexcept;

/// Has the kernel bring new clients to those of `listeners` at the address of `first`, its first queue, that are not
/// surplus; each as likely as the others.  Handshakes that have begun go on where they are.  Gives those that are
/// surplus and still listen, by their index; of an address where the kernel refuses that, none.
/// Source: socket(7), SO_ATTACH_REUSEPORT_CBPF; Linux, reuseport_select_sock(), __reuseport_detach_sock().
[[nodiscard]] std::vector<std::size_t> steer_clients(const std::vector<Listener>& listeners, const Listener& first);

}  // namespace preforkd
