#include "common/config/observe_endpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>

#include "common/base/internet_host.hpp"
#include "common/base/quoted.hpp"
#include "common/config/listen_settings.hpp"

namespace preforkd {
namespace {

constexpr std::string_view expected = "expected tcp://HOST:PORT, unix:///PATH, unix://@NAME, fd://NAME or off";

/// Of the keys of a listener those that make sense here.
struct Scheme {
    std::string_view name;
    std::string_view keys;
};
constexpr std::array<Scheme, 3> schemes{{{.name = "tcp", .keys = "backlog= and v6only="},
                                         {.name = "unix", .keys = "backlog=, mode=, user= and group="},
                                         {.name = "fd", .keys = ""}}};

/// One without a scheme is left to parse_listen(), which knows what is meant.
const Scheme& scheme_of(std::string_view endpoint) {
    const std::size_t end = endpoint.find("://");
    const bool is_word = end == std::string_view::npos && endpoint.find(':') == std::string_view::npos;
    const auto found =
        std::ranges::find(schemes, end == std::string_view::npos ? "tcp" : endpoint.substr(0, end), &Scheme::name);
    if (is_word || found == schemes.end()) refuse_endpoint(endpoint, expected);
    return *found;
}

void check_key(std::string_view endpoint, const Scheme& scheme, std::string_view word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) return;  // parse_listen() says what is wrong
    const std::string key{word.substr(0, equals + 1)};
    if ((' ' + std::string{scheme.keys}).find(' ' + key) != std::string::npos) return;
    refuse_endpoint(endpoint, fmt::format("{} does not fit; {} takes {}{} here", printable(key), scheme.name,
                                          scheme.keys.empty() ? "no keys" : "only the keys ", scheme.keys));
}

}  // namespace

std::optional<ListenSettings> parse_observe_endpoint(std::string_view text, Serves serves) {
    if (text == observe_off) return std::nullopt;
    std::istringstream words{std::string{text}};
    if (std::string first; words >> first) {
        const Scheme& scheme = scheme_of(first);
        for (std::string word; words >> word;) check_key(first, scheme, word);
    }
    ListenSettings settings = parse_listen(text);
    const Endpoint& endpoint = settings.endpoint;
    if (endpoint.transport == Transport::Tcp && endpoint.host.empty())
        refuse_endpoint(to_string(endpoint), fmt::format("would tell everybody who reaches this machine; use "
                                                         "tcp://localhost:{0}, or spell it out: tcp://0.0.0.0:{0} or "
                                                         "tcp://[::]:{0}",
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
