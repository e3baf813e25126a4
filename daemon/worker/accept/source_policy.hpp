#pragma once
// Which sources of datagrams are not answered, so that two servers cannot talk to each other for ever.  Pure.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/net/host_address.hpp"

namespace preforkd {

/// What keeps a datagram from its handler: anybody can write any source into one.
enum class SourceFault : std::uint8_t {
    OwnListener,
    NoPort,
    NotOneHost,
    AnsweringPort,
    NotAdmitted,
    TooMany,
    TooManyAtOnce,
    TooOften,
};
inline constexpr std::size_t source_faults = 8;

/// As a log line ends that says how many were not served.
[[nodiscard]] constexpr std::string_view describe(SourceFault fault) noexcept {
    switch (fault) {
        case SourceFault::OwnListener: return "their source is a listener of this daemon";
        case SourceFault::NoPort: return "their source is port 0";
        case SourceFault::NotOneHost: return "their source is no address of one host";
        case SourceFault::AnsweringPort: return "their source is the port of a service that answers anything";
        case SourceFault::NotAdmitted: return "allow= and deny= do not admit their source";
        case SourceFault::TooMany: return "one source sent more than replies-per-source= allows";
        case SourceFault::TooManyAtOnce: return "one source had as many in work as per-source= allows";
        case SourceFault::TooOften: return "one source sent more than rate= allows";
    }
    return {};
}

/// The ports of services that answer what they did not ask for.
/// Source: RFC 862 to 868; US-CERT alert TA14-017A (UDP-based amplification attacks).
inline constexpr std::array<std::uint16_t, 17> answering_ports{7,   13,  17,  19,  37,   53,   69,   111,  123,
                                                               137, 161, 389, 500, 1900, 2049, 5353, 11211};

struct DatagramOrigin {
    HostAddress host{};
    std::uint16_t port = 0;
};

/// `own_ports`: those of our datagram listeners.  `is_local` says whether an address is this host's; it is asked only
/// when the port is one of ours.  `answers_anything`: so does the handler.
template <class IsLocal>
[[nodiscard]] constexpr std::optional<SourceFault> judge_source(const DatagramOrigin& source,
                                                                std::span<const std::uint16_t> own_ports,
                                                                bool answers_anything, IsLocal&& is_local) {
    if (source.port == 0) return SourceFault::NoPort;
    if (!names_one_host(source.host)) return SourceFault::NotOneHost;
    if (answers_anything && std::ranges::binary_search(answering_ports, source.port)) return SourceFault::AnsweringPort;
    if (std::ranges::find(own_ports, source.port) != own_ports.end() && is_local(source.host))
        return SourceFault::OwnListener;
    return std::nullopt;
}

static_assert(std::ranges::is_sorted(answering_ports));

}  // namespace preforkd
