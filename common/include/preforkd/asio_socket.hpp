#pragma once
// The way from a Connection to the rest of Boost.Asio.  A header of its own, because it costs compile time.
#include <boost/asio/generic/stream_protocol.hpp>

#include "preforkd/connection.hpp"

namespace preforkd {

/// The connection's socket as Asio has it, for what Connection does not offer (socket options, Asio's own operations);
/// Stream is better for reading and writing.  Its executor is that of the coroutine.  Valid as long as the connection,
/// which goes on beside it: it is a second descriptor of the same socket, which std::system_error is thrown for where
/// there is none left.  Throws std::logic_error if its client speaks TLS with this service.  Bytes that read_until()
/// has left over are not in it, and its waits know no --idle-timeout.
[[nodiscard]] boost::asio::generic::stream_protocol::socket& asio_socket(Connection& client);

}  // namespace preforkd
