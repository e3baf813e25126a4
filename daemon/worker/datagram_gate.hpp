#pragma once
// Receiving datagrams: what every model does the same.
#include <functional>
#include <memory>
#include <vector>

#include "common/socket_address.hpp"
#include "daemon/worker/datagram_tally.hpp"
#include "daemon/worker/handler_set.hpp"
#include "daemon/worker/reception.hpp"
#include "daemon/worker/serve_here.hpp"

namespace preforkd {

/// One received datagram with what a reply needs.
struct ReceivedDatagram {
    std::vector<std::byte> bytes{};
    SocketAddress peer{};   ///< size 0: a Unix sender without an address
    SocketAddress local{};  ///< where it was sent to; replies come from there
    int socket = -1;        ///< the descriptor that replies leave through, open as long as `keep_open` lives

    std::shared_ptr<UniqueFd> keep_open{};
    std::shared_ptr<DatagramTally> tally{};
};

/// What a model that gives each datagram a thread or a child does with one.  Between Reception's begun() and ended().
using StartDatagram = std::function<void(ReceivedDatagram)>;

/// Receives one datagram a take from `listener`, logs its sender, counts it, and starts it.
[[nodiscard]] Reception::Take receive_one_by_one(const Listener& listener, bool log_connections, Reception& reception,
                                                 StartDatagram start);

/// Serves one datagram to its end in the calling thread.  Throws nothing.
void serve_datagram_here(const AnyDatagramHandler& handler, ReceivedDatagram datagram, const ServeHere& how) noexcept;

}  // namespace preforkd
