#pragma once
// What a balancer says before its client's first byte: whose connection this is.  Pure.
// Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
#include <cstddef>
#include <string_view>
#include <variant>

#include "common/net/socket_address.hpp"
#include "preforkd/announcement.hpp"

namespace preforkd {

struct ProxyHeader {
    std::size_t size_bytes = 0;  ///< what follows it is the client's
    /// Whether it is about a client.  Else the sender speaks for itself (LOCAL) or does not say (UNKNOWN, UNSPEC): the
    /// addresses of the connection itself hold, and those below are empty.
    bool announces = false;
    SocketAddress source{};  ///< of a Unix client mostly without a name
    SocketAddress destination{};
    Announcement said{};  ///< without the balancer, which the connection tells
};

/// More is to come: at least so many bytes in all.
struct ProxyIncomplete {
    std::size_t wanted_bytes = 0;
};

/// Why it is none, for the log: a literal.
struct ProxyInvalid {
    const char* reason = "";
};

/// A longer header is invalid: 4 KiB hold a client certificate as PP2_SUBTYPE_SSL_CLIENT_CERT sends it.
inline constexpr std::size_t longest_proxy_header_bytes = 4096;

/// Reads version 1 or 2 from the beginning of a connection, or of a datagram (`socket_type`: SOCK_STREAM or
/// SOCK_DGRAM), to the letter; nothing is skipped but TLVs of types that are not known.  A datagram's is of version 2,
/// and invalid where it is not whole.
[[nodiscard]] std::variant<ProxyHeader, ProxyIncomplete, ProxyInvalid> parse_proxy_header(std::string_view bytes,
                                                                                          int socket_type);

}  // namespace preforkd
