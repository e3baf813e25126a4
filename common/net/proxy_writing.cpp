#include "common/net/proxy_writing.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace preforkd {
namespace {

std::string_view raw_host(const SocketAddress& address) {
    const auto* const bytes = reinterpret_cast<const char*>(address.data());
    return address.family() == AF_INET ? std::string_view{bytes + offsetof(sockaddr_in, sin_addr), sizeof(in_addr)}
                                       : std::string_view{bytes + offsetof(sockaddr_in6, sin6_addr), sizeof(in6_addr)};
}

/// Without a zone, which is this machine's.
std::string host_text(const SocketAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    return ::inet_ntop(address.family(), raw_host(address).data(), text.data(), text.size());
}

std::string number_bytes(std::size_t number) {
    return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}

std::string version_1(const std::optional<ProxyEnds>& ends) {
    if (!ends) return "PROXY UNKNOWN\r\n";
    const auto& [source, destination] = *ends;
    return fmt::format("PROXY {} {} {} {} {}\r\n", source.family() == AF_INET ? "TCP4" : "TCP6", host_text(source),
                       host_text(destination), source.port(), destination.port());
}

std::string version_2(int socket_type, const std::optional<ProxyEnds>& ends) {
    constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
    constexpr char local = 0x20;
    constexpr char proxied = 0x21;
    std::string header{signature};
    if (!ends) return header.append({local, 0, 0, 0});
    const auto& [source, destination] = *ends;
    const int family = source.family() == AF_INET ? 1 : 2;
    const int protocol = socket_type == SOCK_STREAM ? 1 : 2;
    std::string block{raw_host(source)};
    block.append(raw_host(destination)).append(number_bytes(source.port())).append(number_bytes(destination.port()));
    header += proxied;
    header += static_cast<char>(family << 4 | protocol);
    return header.append(number_bytes(block.size())).append(block);
}

}  // namespace

std::string write_proxy_header(ProxyVersion version, int socket_type, const std::optional<ProxyEnds>& ends) {
    return version == ProxyVersion::V1 ? version_1(ends) : version_2(socket_type, ends);
}

}  // namespace preforkd
