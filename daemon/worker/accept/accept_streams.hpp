#pragma once
// Accepting stream connections: what every model does the same.
#include <chrono>
#include <functional>

#include "common/config/settings.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/connection_account.hpp"

namespace preforkd {

/// One accepted client, and how its listener wants it treated.
struct AcceptedStream {
    UniqueFd fd{};            ///< non-blocking, close-on-exec
    SocketAddress address{};  ///< as accept(2) gave it
    const Listener& listener;
    std::chrono::milliseconds linger{};  ///< zero: off
    ConnectionAccount account{};         ///< of --log-connections end
};

/// One that has been served, for the close.
struct ServedStream {
    UniqueFd fd{};
    bool output_ended = false;  ///< SHUT_WR is done
};

/// What a model does with it.  Between Acceptor's begun() and ended().
using StartStream = std::function<void(AcceptedStream)>;

/// Accepts from `listener`, sets what the socket does not inherit from it, logs the client, counts it, and starts it.
[[nodiscard]] Acceptor::Take accept_streams(const Listener& listener, LogConnections log_connections,
                                            Acceptor& acceptor, StartStream start);

}  // namespace preforkd
