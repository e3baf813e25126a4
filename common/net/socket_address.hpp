#pragma once
// The kernel's form of an address, as a value, and its way to and from Endpoint.
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <system_error>
#include <vector>

#include "preforkd/endpoint.hpp"

namespace preforkd {

/// A socket address of any family, with its length.
///
/// Empty (size 0) is what the kernel reports for a Unix datagram whose sender has no address.
class SocketAddress {
public:
    SocketAddress() noexcept = default;
    SocketAddress(const sockaddr* address, socklen_t size) noexcept;

    /// Throws std::system_error when `fd` is no socket, or has no peer.
    [[nodiscard]] static SocketAddress local_of(int fd);
    [[nodiscard]] static SocketAddress peer_of(int fd);

    // For accept4(2), recvmsg(2) and the like: they fill data() with up to capacity() bytes, then resize() says how
    // many.
    [[nodiscard]] sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
    [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
    [[nodiscard]] socklen_t size() const noexcept { return size_; }
    [[nodiscard]] static constexpr socklen_t capacity() noexcept { return sizeof(sockaddr_storage); }
    void resize(socklen_t size) noexcept { size_ = size < capacity() ? size : capacity(); }

    [[nodiscard]] int family() const noexcept { return size_ == 0 ? AF_UNSPEC : storage_.ss_family; }
    [[nodiscard]] std::uint16_t port() const noexcept;  ///< 0 where there are no ports
    [[nodiscard]] bool is_wildcard() const noexcept;    ///< 0.0.0.0 or ::
    [[nodiscard]] SocketAddress with_port(std::uint16_t port) const noexcept;

    /// The IPv4 address inside a v4-mapped IPv6 address (ipv6(7)); any other address as it is.
    [[nodiscard]] SocketAddress unmapped() const noexcept;

    /// `socket_type`: SOCK_STREAM or SOCK_DGRAM, which the address itself does not tell.  A v4-mapped address becomes
    /// IPv4.  Throws std::invalid_argument for a family that no Endpoint has.
    [[nodiscard]] Endpoint to_endpoint(int socket_type) const;

    /// The address as `T`, e.g. sockaddr_in; meaningful only if the family is T's.
    template <class T>
    [[nodiscard]] T as() const noexcept {
        T address{};
        std::memcpy(&address, &storage_, sizeof address);
        return address;
    }

    /// Same family, address, port and scope; a flow label does not count.
    friend bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept;

private:
    sockaddr_storage storage_{};
    socklen_t size_ = 0;
};

/// SOCK_STREAM or SOCK_DGRAM.  Passed has no type of its own: its socket says.
[[nodiscard]] int socket_type_of(Transport transport) noexcept;

/// Every address of `endpoint`, each once: a host name may have several, an empty host has `::` and then `0.0.0.0`.
///
/// Asks the resolver and may block: only for start-up and tools.  Families that this machine lacks are not left out.
/// Throws std::system_error: with addrinfo_category() when the host has no address, ENAMETOOLONG for a Unix path of
/// more than 107 bytes.  Source: getaddrinfo(3), unix(7).
[[nodiscard]] std::vector<SocketAddress> resolve(const Endpoint& endpoint);

/// The errors of getaddrinfo(3), EAI_*.
[[nodiscard]] const std::error_category& addrinfo_category() noexcept;

/// Where the bound socket `fd` is.  A dual-stack wildcard has an empty host, which is how `--listen` spells it.
[[nodiscard]] Endpoint local_endpoint(int fd);

}  // namespace preforkd
