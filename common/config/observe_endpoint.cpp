#include "common/config/observe_endpoint.hpp"

#include <fmt/core.h>

#include <stdexcept>

#include "common/base/internet_host.hpp"
#include "common/config/listen_settings.hpp"

namespace preforkd {
namespace {

[[noreturn]] void refuse(const Endpoint& endpoint, std::string_view sentence) {
    throw std::invalid_argument{fmt::format("{}: {}", to_string(endpoint), sentence)};
}

/// The same with the keys alone that make sense for it.
ListenSettings bare(const ListenSettings& settings) {
    return {.endpoint = settings.endpoint,
            .backlog = settings.backlog,
            .mode = settings.mode,
            .user = settings.user,
            .group = settings.group,
            .v6only = settings.v6only};
}

}  // namespace

std::optional<ListenSettings> parse_observe_endpoint(std::string_view text, Serves serves) {
    if (text == observe_off) return std::nullopt;
    ListenSettings settings = parse_listen(text);
    const Endpoint& endpoint = settings.endpoint;
    if (is_datagram(endpoint.transport) || settings.tls)
        refuse(endpoint, "expected tcp://HOST:PORT, unix:///PATH, unix://@NAME or fd://NAME");
    if (settings != bare(settings)) refuse(endpoint, "only the keys backlog=, mode=, user=, group= and v6only= fit it");
    if (endpoint.transport == Transport::Tcp && endpoint.host.empty())
        refuse(endpoint, fmt::format("would tell everybody who reaches this machine; use tcp://localhost:{0}, or "
                                     "spell it out: tcp://0.0.0.0:{0} or tcp://[::]:{0}",
                                     endpoint.port));
    settings.serves = serves;
    return settings;
}

std::string print_observe_endpoint(const std::optional<ListenSettings>& endpoint) {
    return endpoint ? to_string(*endpoint) : std::string{observe_off};
}

bool is_local(const Endpoint& endpoint) {
    if (endpoint.transport != Transport::Tcp) return true;
    const auto host = parse_host_prefix(endpoint.host);
    return host ? is_loopback(host->first) : endpoint.host == "localhost";
}

}  // namespace preforkd
