#include "common/control_endpoint.hpp"

#include <stdexcept>
#include <string>

#include "common/option_values.hpp"

namespace preforkd {

Endpoint parse_control_endpoint(std::string_view text) {
    constexpr std::string_view expected = "unix:///PATH or unix://@NAME";
    try {
        Endpoint endpoint = parse_endpoint(text);
        if (endpoint.transport == Transport::Unix) return endpoint;
    } catch (const std::invalid_argument&) {}
    refuse_value(expected, text);
}

std::optional<Endpoint> control_in_runtime_directory(const char* runtime_directory) {
    if (runtime_directory == nullptr) return std::nullopt;
    const std::string_view all{runtime_directory};
    const std::string_view first = all.substr(0, all.find(":/"));  // a name in a path may have a colon, too
    if (!first.starts_with('/')) return std::nullopt;
    return Endpoint{.transport = Transport::Unix, .path = std::string{first} + "/control.sock"};
}

}  // namespace preforkd
