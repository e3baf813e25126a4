#pragma once
// Accepting stream connections: what every model does the same.
#include <chrono>
#include <functional>
#include <memory>

#include "common/config/settings.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/announced.hpp"
#include "daemon/worker/accept/connection_account.hpp"
#include "daemon/worker/accept/counted_place.hpp"

namespace preforkd {

/// One accepted client, and how its listener wants it treated.
struct AcceptedStream {
    UniqueFd fd{};            ///< non-blocking, close-on-exec
    SocketAddress address{};  ///< as accept(2) gave it, or as it was announced
    const Listener& listener;
    bool speaks_tls = false;             ///< so that a thread that outlives the worker's end need not ask its listener
    std::chrono::milliseconds linger{};  ///< zero: off
    CountedClient client{};              ///< for the acceptor's ended()
    ConnectionAccount account{};         ///< how it ends; of --log-connections end
    std::unique_ptr<const Announced> announced{};  ///< where somebody has announced the client
    CountedPlace place{};                          ///< to be given back before the acceptor's ended()
};

/// One that has been served, for the close.
struct ServedStream {
    UniqueFd fd{};
    bool output_ended = false;  ///< SHUT_WR is done
    ConnectionOutcome outcome = ConnectionOutcome::Error;
};

/// What a model does with it.  Between Acceptor's begun() and ended().
using StartStream = std::function<void(AcceptedStream)>;

/// Accepts from `listener`, sets what the socket does not inherit from it, counts the client, reads who it is where
/// somebody has to announce it, logs it, and starts it.
[[nodiscard]] Acceptor::Take accept_streams(const Listener& listener, const Settings& settings, Acceptor& acceptor,
                                            StartStream start);

}  // namespace preforkd
