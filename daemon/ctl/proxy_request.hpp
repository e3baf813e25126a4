#pragma once
// What preforkctl send is to say before its text: the PROXY protocol.
#include <optional>
#include <string>

#include "common/net/proxy_writing.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

struct ProxyRequest {
    ProxyVersion version = ProxyVersion::V2;
    std::optional<Endpoint> source{};  ///< --proxy-source, an address; unset: nobody is announced
    friend bool operator==(const ProxyRequest&, const ProxyRequest&) = default;
};

/// `v1` or `v2`.  Both throw std::invalid_argument with a sentence that names the option.
[[nodiscard]] ProxyVersion read_proxy_version(const std::string& text);
/// `192.0.2.1:1234`, `[2001:db8::1]:1234`.
[[nodiscard]] Endpoint read_proxy_source(const std::string& text);

/// For a connection or a datagram to `server`, where the client is said to have sent to.  Where `server` is of another
/// family than the client, that is its wildcard.
[[nodiscard]] std::string proxy_header_for(const ProxyRequest& request, const SocketAddress& server, int socket_type);

/// `192.0.2.1:1234 by PROXY v2`, `nobody by PROXY v2`.
[[nodiscard]] std::string to_string(const ProxyRequest& request);

}  // namespace preforkd
