#pragma once
// What a service author writes.
#include <boost/asio/awaitable.hpp>

#include "preforkd/connection.hpp"

namespace preforkd {

/// Serves stream connections.  One instance lives per worker process, made after the fork; with --model async many
/// serve() calls are suspended in it at once, in one thread.
class StreamHandler {
public:
    StreamHandler() = default;
    StreamHandler(const StreamHandler&) = delete;
    StreamHandler& operator=(const StreamHandler&) = delete;
    virtual ~StreamHandler() = default;

    /// Serves one connection; it is closed when this returns.
    /// An exception ends this connection only, and is logged with its peer.
    virtual awaitable<void> serve(Connection& client) = 0;
};

}  // namespace preforkd
