#pragma once
// Several sockets at one address, queues=: the kernel spreads clients over them, and each has a lock of its own.
#include <optional>
#include <vector>

#include "common/net/listener.hpp"

namespace preforkd {

/// When a socket that is added begins to listen: at a reload once there are workers who serve its queue, until then no
/// client comes there.
enum class Listens { AtOnce, Later };

/// Opens the sockets that the endpoints of `listeners` ask for and have not, beside those they have.  A socket that is
/// there is never closed for that: its queue may have clients.  Throws as bind_listeners() does.
///
/// The first of an address was bound alone, so that two daemons never share one by mistake.  Source: socket(7),
/// SO_REUSEPORT, which Linux lets be set after bind(2) and listen(2), too.
[[nodiscard]] std::vector<Listener> open_more_queues(const std::vector<Listener>& listeners,
                                                     std::optional<int> default_backlog, Listens when);

/// Whether `after` asks for what a reload can do: more sockets; of none is known when its queue will be empty for good.
[[nodiscard]] bool may_change_queues(const ListenSettings& before, const ListenSettings& after);

/// Tells those at one address apart: Listener::queue, Listener::queues.
void number_queues(std::vector<Listener>& listeners);

}  // namespace preforkd
