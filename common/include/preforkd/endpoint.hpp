#pragma once
// Where a server listens and who its clients are, as text and as fields.  Pure: nothing here is resolved or opened.
#include <cstdint>
#include <string>
#include <string_view>

namespace preforkd {

enum class Transport {
    Tcp,
    Udp,
    Unix,          ///< Unix stream
    UnixDatagram,  ///< spelled unixgram
    Passed,        ///< fd://NAME: a socket from systemd, whatever its kind
};

/// One address of one transport.
///
///   tcp://HOST:PORT   udp://HOST:PORT   unix:///path   unix://@abstract   unixgram:///path   fd://NAME
///
/// `:PORT` is short for `tcp://:PORT`; an empty host is every address, IPv4 and IPv6; an IPv6 address stands in
/// brackets.
struct Endpoint {
    Transport transport = Transport::Tcp;
    std::string host{};      ///< tcp, udp: a name or a numeric address, without brackets; empty: all
    std::uint16_t port = 0;  ///< tcp, udp: 0 lets the kernel choose
    std::string path{};      ///< unix, unixgram: the path, or an abstract name without its `@`; fd: the name.
                             ///< Empty for a Unix client without an address
    bool abstract = false;   ///< unix, unixgram: `path` is an abstract name

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// Reads an endpoint.  Throws std::invalid_argument with one sentence that names what is wrong and what is expected.
[[nodiscard]] Endpoint parse_endpoint(std::string_view text);

/// The text that parse_endpoint() reads: `tcp://127.0.0.1:80`, `tcp://[::1]:80`, `unix:///run/x`, `unix://@x`,
/// `fd://x`.
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

/// The address alone, as logs print a peer: `127.0.0.1:80`, `[::1]:80`, `/run/x`, `@x`; `unnamed` for a Unix client
/// that has none.
[[nodiscard]] std::string address_of(const Endpoint& endpoint);

[[nodiscard]] std::string_view to_string(Transport transport) noexcept;
[[nodiscard]] constexpr bool is_datagram(Transport transport) noexcept {
    return transport == Transport::Udp || transport == Transport::UnixDatagram;
}

}  // namespace preforkd
