#pragma once
// A balancer that asks how much to send: HAProxy's agent-check.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "daemon/observe/snapshots.hpp"

namespace preforkd {

/// Whatever the balancer has sent is not looked at.
[[nodiscard]] boost::asio::awaitable<void> serve_agent(boost::asio::generic::stream_protocol::socket socket,
                                                       Snapshots& snapshots);

}  // namespace preforkd
