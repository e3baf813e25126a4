#include "daemon/worker/datagram/announced_datagrams.hpp"

#include <string_view>
#include <utility>
#include <variant>

#include "common/net/proxy_header.hpp"

namespace preforkd {

AnnouncedDatagrams::AnnouncedDatagrams(const Listener& listener, Reactor& reactor)
    : listener_{listener},
      refusals_{listener, reactor, LogLevel::Warning,
                "dropped a datagram from {peer} to {listener} without a valid PROXY header: {cause}; so far {total}"} {}

std::optional<AnnouncedDatagrams::Read> AnnouncedDatagrams::read(const SocketAddress& sender,
                                                                 std::span<const std::byte> datagram) {
    auto parsed = parse_proxy_header({reinterpret_cast<const char*>(datagram.data()), datagram.size()}, SOCK_DGRAM);
    if (const auto* const invalid = std::get_if<ProxyInvalid>(&parsed)) {
        refusals_.add(sender, invalid->reason);
        return std::nullopt;
    }
    auto& header = std::get<ProxyHeader>(parsed);
    Read read{.payload = datagram.subspan(header.size_bytes)};
    if (!header.announces) return read;
    header.said.balancer = sender.to_endpoint(SOCK_DGRAM);
    read.announced = std::make_unique<const Announced>(
        Announced{.peer = header.source, .local = header.destination, .said = std::move(header.said)});
    return read;
}

}  // namespace preforkd
