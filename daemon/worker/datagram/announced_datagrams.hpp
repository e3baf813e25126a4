#pragma once
// Datagrams of those who announce clients.
#include <memory>
#include <optional>
#include <span>

#include "daemon/worker/accept/announced.hpp"
#include "daemon/worker/accept/refusals.hpp"

namespace preforkd {

/// Reads the PROXY header that each of them begins with.
class AnnouncedDatagrams {
public:
    /// `listener` has proxy=, and outlives it, as `reactor` does.
    AnnouncedDatagrams(const Listener& listener, Reactor& reactor);

    /// Whether what comes from `sender` has to have one.
    [[nodiscard]] bool expects(const SocketAddress& sender) const noexcept {
        return has_to_announce(sender, *listener_.settings.proxy);
    }

    struct Read {
        std::span<const std::byte> payload{};
        std::unique_ptr<const Announced> announced{};  ///< null: the balancer speaks for itself
    };
    /// nullopt: it is none, and the datagram nobody's.
    [[nodiscard]] std::optional<Read> read(const SocketAddress& sender, std::span<const std::byte> datagram);

private:
    const Listener& listener_;
    Refusals refusals_;
};

}  // namespace preforkd
