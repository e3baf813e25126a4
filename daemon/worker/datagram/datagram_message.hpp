#pragma once
// What the kernel tells beside a datagram and is told beside a reply: addresses and control messages.
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/net/socket_address.hpp"

namespace preforkd {

/// The longest datagram that is served.
inline constexpr std::size_t longest_datagram_bytes = 65'535;

/// What an msghdr points to.  Stays where it is while the msghdr is used.
struct DatagramMessage {
    SocketAddress address{};  ///< the other side
    iovec payload{};
    alignas(cmsghdr) std::array<std::byte, 256> control{};
};

/// Makes `header` ready for recvmsg(2).  Without `control` the kernel throws away what comes beside the payload: from a
/// Unix socket that would be descriptors, which anybody could fill this process with.
void prepare_to_receive(msghdr& header, DatagramMessage& message, std::span<std::byte> buffer, bool control) noexcept;

/// What came beside a datagram.
struct DatagramNotes {
    std::optional<SocketAddress> destination{};  ///< the local address it was sent to
    std::optional<std::uint32_t> dropped{};      ///< how many the socket has dropped so far, if any; wraps around
};

/// `port`: the receiving socket's.  Source: ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO, socket(7) SO_RXQ_OVFL.
[[nodiscard]] DatagramNotes read_notes(msghdr& header, std::uint16_t port) noexcept;

/// Makes `header` ready for sendmsg(2): `payload` to `peer`.
void prepare_to_send(msghdr& header, DatagramMessage& message, std::span<const std::byte> payload,
                     const SocketAddress& peer) noexcept;

/// Has it leave from `local`, if that can be a source at all.
void name_source(msghdr& header, DatagramMessage& message, const SocketAddress& local) noexcept;

/// Whether receiving or sending on a datagram socket reported what an earlier datagram came to (an ICMP answer).  Such
/// an error is reported once, in place of what was asked for, and says nothing about the socket.
[[nodiscard]] bool tells_of_earlier_datagram(int error) noexcept;

}  // namespace preforkd
