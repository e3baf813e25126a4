#pragma once
// The way from a Connection to the rest of Boost.Asio.  A header of its own, because it costs compile time.
#include <boost/asio/generic/stream_protocol.hpp>

#include "preforkd/connection.hpp"

namespace preforkd {

/// The connection's Asio socket, for what Connection does not offer (async_read, socket options).  It
/// joins the reactor if it had not yet; its executor is that of the coroutine.  Borrowed: valid as long as the
/// connection, and not to be closed.  Throws std::logic_error if its client speaks TLS with this service.  Bytes that
/// read_until() has left over are not in it, and its waits know no
/// --idle-timeout.
[[nodiscard]] boost::asio::generic::stream_protocol::socket& asio_socket(Connection& client);

}  // namespace preforkd
