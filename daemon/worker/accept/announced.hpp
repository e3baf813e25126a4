#pragma once
// What a balancer says of a client, and who has to say it.
#include <algorithm>

#include "common/config/settings.hpp"
#include "common/net/host_address.hpp"
#include "preforkd/announcement.hpp"

namespace preforkd {

/// What is known of a client by its PROXY header alone.
struct Announced {
    SocketAddress peer{};   ///< the client
    SocketAddress local{};  ///< where it has sent to, or connected to
    Announcement said{};
};

/// Whether what comes from `peer`, a balancer, has to announce somebody.
[[nodiscard]] inline bool has_to_announce(const SocketAddress& peer, const ProxySenders& senders) noexcept {
    const auto host = host_address_of(peer);
    if (senders.local) return !host;
    return host && std::ranges::any_of(senders.prefixes, [&](const auto& prefix) { return contains(prefix, *host); });
}

}  // namespace preforkd
