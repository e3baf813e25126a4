#pragma once
// What a datagram handler sees.
#include <span>
#include <string_view>
#include <system_error>

#include "preforkd/announcement.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

struct DatagramCore;

/// One received datagram, UDP or Unix, and the way back to its sender.  Not for use after serve() has returned.
class Datagram {
public:
    explicit Datagram(DatagramCore& core) noexcept : core_{core} {}
    Datagram(const Datagram&) = delete;
    Datagram& operator=(const Datagram&) = delete;

    /// The payload, possibly empty: an empty datagram is a request, not an end.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
    [[nodiscard]] std::string_view text() const noexcept;

    /// The sender, or whom it has announced; of a Unix sender without an address, the empty path: it cannot be replied
    /// to.
    [[nodiscard]] const Endpoint& peer() const;

    /// The address it was sent to, as announced where that is so.  Replies come from where it came in (also on a
    /// wildcard listener; IP_PKTINFO, ip(7)), and go to the sender.
    [[nodiscard]] const Endpoint& local() const;

    /// What else a balancer has said of the client; nullptr if nobody has announced one.
    [[nodiscard]] const Announcement* announcement() const noexcept;

    /// Whether there is somebody to reply to.
    [[nodiscard]] bool can_reply() const noexcept;

    /// Sends one datagram back.  Never waits: a reply that the kernel or the receiver's queue cannot take is lost,
    /// counted and reported, as datagrams are; one that is longer than the request is cut where `amplify=no` holds. May
    /// be handed over to the kernel only after serve() has returned.
    std::error_code reply(std::span<const std::byte> bytes);
    std::error_code reply(std::string_view text);

private:
    DatagramCore& core_;
};

}  // namespace preforkd
