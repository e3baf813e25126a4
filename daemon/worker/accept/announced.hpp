#pragma once
#include "common/net/socket_address.hpp"
#include "preforkd/announcement.hpp"

namespace preforkd {

/// What is known of a connection by its PROXY header alone, beside its peer.
struct Announced {
    SocketAddress local{};  ///< where the client has connected to
    Announcement said{};
};

}  // namespace preforkd
