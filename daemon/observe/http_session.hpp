#pragma once
// One who asks over HTTP.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "daemon/observe/accept_loop.hpp"
#include "daemon/observe/http_target.hpp"
#include "daemon/observe/snapshots.hpp"

namespace preforkd {

/// Answers one request after the other: GET and HEAD, of 8 KiB at most, each within 5 s.  Ends with the connection,
/// with the observer, or when `state` wants its place.  Who asks by none of `names` is refused.
[[nodiscard]] boost::asio::awaitable<void> serve_http(boost::asio::generic::stream_protocol::socket socket,
                                                      SessionState& state, Snapshots& snapshots, const OwnNames& names);

}  // namespace preforkd
