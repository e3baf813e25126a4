#include "common/net/bind_error.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "common/base/shortage.hpp"
#include "common/net/bind_attempt.hpp"

namespace preforkd {
namespace {

/// `--listen tcp://localhost:80 (127.0.0.1:80)`: the address in use is one of several that a host name stands for.
std::string subject(const ListenSettings& wanted, const SocketAddress& address) {
    const Endpoint& asked = wanted.endpoint;
    std::string text = subject_of(wanted);
    if (address.family() == AF_UNIX || asked.host.empty()) return text;
    const Endpoint numeric = address.with_port(asked.port).to_endpoint(socket_type_of(asked.transport));
    return numeric.host == asked.host ? text : fmt::format("{} ({})", text, address_of(numeric));
}

std::string in_use(const ListenSettings& wanted, const SocketAddress& address,
                   const std::optional<PortHolder>& holder) {
    const bool unix_socket = address.family() == AF_UNIX;
    const bool datagram = is_datagram(wanted.endpoint.transport);
    if (!unix_socket && address.port() == 0) return ": no port is free: widen net.ipv4.ip_local_port_range";
    const char* const other = !unix_socket ? "port" : wanted.endpoint.abstract ? "name" : "path";
    if (holder && holder->pid == ::getpid())
        return " by another listener of this process: remove one of them, or restart if a reload shall replace it";
    if (holder && is_service_manager(*holder))
        return fmt::format(
            " by systemd (pid {}) for a .socket unit, or for a service that has stored it: "
            "`systemctl list-sockets` shows units; stop that unit or choose another {}",
            holder->pid, other);
    if (holder) return fmt::format(" by {} (pid {}): stop it or choose another {}", holder->name, holder->pid, other);
    return fmt::format(": `ss -{}` as root shows by whom; stop it or choose another {}",
                       unix_socket ? "lxp" : (datagram ? "lunp" : "ltnp"), other);
}

std::string no_access(const ListenSettings& wanted, const SocketAddress& address) {
    if (address.family() == AF_UNIX)
        return fmt::format(": this user may not create files in {}: let it, or choose another directory",
                           std::filesystem::path{wanted.endpoint.path}.parent_path().native());
    if (address.port() == 0 || address.port() >= first_free_port()) return ": the system does not allow this address";
    return fmt::format(": run as root, grant CAP_NET_BIND_SERVICE, use socket activation, or a port from {} up",
                       first_free_port());
}

std::string no_directory(const ListenSettings& wanted) {
    return fmt::format(": create the directory {} first (systemd: RuntimeDirectory=)",
                       std::filesystem::path{wanted.endpoint.path}.parent_path().native());
}

/// `fe80::1%eth0` without its zone; nullopt for an address that means the same on every link.
std::optional<in6_addr> link_local(const std::string& host) {
    in6_addr address{};
    if (::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &address) != 1) return std::nullopt;
    if (!IN6_IS_ADDR_LINKLOCAL(&address) && !IN6_IS_ADDR_MC_LINKLOCAL(&address)) return std::nullopt;
    return address;
}

/// The interface that has `address`, or one as an example.
std::string interface_of(const in6_addr& address) {
    ifaddrs* first = nullptr;
    (void)::getifaddrs(&first);
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned{first, &::freeifaddrs};
    for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
        if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET6) continue;
        sockaddr_in6 held{};
        std::memcpy(&held, each->ifa_addr, sizeof held);
        if (IN6_ARE_ADDR_EQUAL(&held.sin6_addr, &address)) return each->ifa_name;
    }
    return "eth0";
}

std::string not_for_listening(const ListenSettings& wanted) {
    const std::string& host = wanted.endpoint.host;
    const auto address = link_local(host);
    if (!address || host.find('%') != std::string::npos) return ": this address cannot be listened on";
    return fmt::format(": a link-local address needs its interface: write [{}%{}] (`ip address` shows them)", host,
                       interface_of(*address));
}

std::string no_interface(const std::string& host) {
    return fmt::format("there is no interface {}: bring it up first, or name another (`ip address` shows them)",
                       host.substr(host.find('%') + 1));
}

struct Remedy {
    ExitCode code;
    std::string text;  ///< continues the sentence behind strerror
};

Remedy remedy(const ListenSettings& wanted, const SocketAddress& address, int error) {
    switch (error) {
        // What may pass, unlike a mistake in the settings, the supervisor may try again: a conflict, and an interface
        // that is not up yet.
        case EADDRINUSE:
            return {ExitCode::System,
                    in_use(wanted, address, find_holder(address, socket_type_of(wanted.endpoint.transport)))};
        case EACCES:
        case EPERM: return {ExitCode::Permission, no_access(wanted, address)};
        case EADDRNOTAVAIL:
            return {ExitCode::System, ": no interface of this machine has it (`ip address` shows them)"};
        case EAFNOSUPPORT:
            return {ExitCode::Configuration, ": this machine has no IPv6: use an IPv4 address or an empty host"};
        case ENOENT:
        case ENOTDIR: return {ExitCode::Configuration, no_directory(wanted)};
        case ENAMETOOLONG: return {ExitCode::Configuration, ": a socket path has at most 107 bytes: use a shorter one"};
        case EROFS: return {ExitCode::Configuration, ": choose a directory that can be written to, such as /run"};
        case ENODEV: return {ExitCode::System, ": " + no_interface(wanted.endpoint.host)};
        case EINVAL: return {ExitCode::Configuration, not_for_listening(wanted)};
        default: return {ExitCode::System, std::string{shortage_remedy(error)}};
    }
}

OperatorError sentence(const ListenSettings& wanted, const SocketAddress& address, int error, const Remedy& remedy) {
    return {remedy.code,
            fmt::format("{}: {}{}", subject(wanted, address), std::generic_category().message(error), remedy.text)};
}

}  // namespace

OperatorError bind_error(const ListenSettings& wanted, const SocketAddress& address, int error) {
    return sentence(wanted, address, error, remedy(wanted, address, error));
}

OperatorError in_use_error(const ListenSettings& wanted, const SocketAddress& address,
                           const std::optional<PortHolder>& holder) {
    return sentence(wanted, address, EADDRINUSE, {ExitCode::System, in_use(wanted, address, holder)});
}

OperatorError resolve_error(const ListenSettings& wanted, const std::system_error& error) {
    const std::string& host = wanted.endpoint.host;
    const std::size_t percent = host.find('%');
    // glibc looks the interface up, and says only that the name is not known.  Source: if_nametoindex(3)
    if (percent != std::string::npos && link_local(host) && ::if_nametoindex(host.c_str() + percent + 1) == 0)
        return {ExitCode::System, fmt::format("{}: {}", subject_of(wanted), no_interface(host))};
    const bool too_long = error.code() == std::errc::filename_too_long;
    const std::string_view advice =
        too_long ? "a socket path has at most 107 bytes" : "check the host, or give it as a number";
    const bool may_pass = error.code().category() != std::generic_category() && error.code().value() == EAI_AGAIN;
    return {may_pass ? ExitCode::System : ExitCode::Configuration,
            fmt::format("{}: {}: {}", subject_of(wanted), error.code().message(), advice)};
}

}  // namespace preforkd
