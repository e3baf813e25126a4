#pragma once
// Receiving datagrams: what every model does the same.
#include <functional>
#include <memory>
#include <vector>

#include "common/net/socket_address.hpp"
#include "daemon/worker/datagram/datagram_intake.hpp"
#include "daemon/worker/handler/handler_set.hpp"
#include "daemon/worker/stream/serve_here.hpp"

namespace preforkd {

/// One received datagram with what a reply needs.
struct ReceivedDatagram {
    std::vector<std::byte> bytes{};
    SocketAddress sender{};  ///< who is replied to; size 0: a Unix sender without an address
    SocketAddress local{};   ///< where it was sent to; replies come from there
    bool names_source = true;
    std::size_t longest_reply = DatagramCore::no_limit;
    int socket = -1;  ///< the descriptor that replies leave through, open as long as `keep_open` lives

    std::shared_ptr<UniqueFd> keep_open{};
    std::shared_ptr<DatagramTally> tally{};
    ListenerCounter& counter;
    std::unique_ptr<const Announced> announced{};
    CountedPlace place{};  ///< to be given back, in the thread that receives, before the acceptor's ended()

    [[nodiscard]] const SocketAddress& peer() const noexcept { return announced ? announced->peer : sender; }
};

/// `arrived` on `socket`, so that it can be kept.
[[nodiscard]] ReceivedDatagram keep(ArrivedDatagram& arrived, DatagramSource& source, int socket);

/// `datagram`, which outlives it, as it is served.
[[nodiscard]] DatagramCore core_of(const ReceivedDatagram& datagram, DatagramOutbox* outbox = nullptr);

/// What a model that gives each datagram a thread or a child does with one.  Between Acceptor's datagram_begun() and
/// datagram_ended().
using StartDatagram = std::function<void(ReceivedDatagram)>;

/// Receives one datagram a take, logs its sender, counts it, and starts it.
[[nodiscard]] Acceptor::Take receive_one_by_one(const DatagramInlet& inlet, StartDatagram start);

/// Serves one datagram to its end in the calling thread; how that went.  Throws nothing.
[[nodiscard]] ConnectionOutcome serve_datagram_here(const AnyDatagramHandler& handler, ReceivedDatagram datagram,
                                                    const ServeHere& how) noexcept;

}  // namespace preforkd
