#include "daemon/ctl/proxy_request.hpp"

#include <fmt/core.h>

#include <stdexcept>

#include "common/base/internet_host.hpp"
#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

bool is_address(const std::string& host) { return host.find('/') == host.npos && parse_host_prefix(host).has_value(); }

/// The same port at no address of the family of `like`.
SocketAddress wildcard_like(const SocketAddress& like, std::uint16_t port) {
    const Endpoint nowhere{
        .transport = Transport::Tcp, .host = like.family() == AF_INET ? "0.0.0.0" : "::", .port = port};
    return resolve(nowhere).front();
}

}  // namespace

ProxyVersion read_proxy_version(const std::string& text) {
    if (text == "v1") return ProxyVersion::V1;
    if (text == "v2") return ProxyVersion::V2;
    throw std::invalid_argument{fmt::format("--proxy: expected v1 or v2, not {}", in_quotes(text))};
}

Endpoint read_proxy_source(const std::string& text) {
    try {
        Endpoint source = parse_endpoint("tcp://" + text);
        if (is_address(source.host)) return source;
    } catch (const std::invalid_argument&) {  // said below
    }
    throw std::invalid_argument{fmt::format(
        "--proxy-source: expected an address with its port, such as 192.0.2.1:1234 or [2001:db8::1]:1234, not {}",
        in_quotes(text))};
}

std::string proxy_header_for(const ProxyRequest& request, const SocketAddress& server, int socket_type) {
    if (!request.source) return write_proxy_header(request.version, socket_type, std::nullopt);
    const SocketAddress source = resolve(*request.source).front().unmapped();
    const SocketAddress real = server.unmapped();
    const SocketAddress destination = real.family() == source.family() ? real : wildcard_like(source, real.port());
    return write_proxy_header(request.version, socket_type, ProxyEnds{.source = source, .destination = destination});
}

std::string to_string(const ProxyRequest& request) {
    return fmt::format("{} by PROXY {}", request.source ? address_of(*request.source) : "nobody",
                       request.version == ProxyVersion::V1 ? "v1" : "v2");
}

}  // namespace preforkd
