#include "daemon/observe/http_target.hpp"

#include <algorithm>

#include "common/base/internet_host.hpp"
#include "common/base/lower_case.hpp"

namespace preforkd {

namespace {

constexpr std::string_view scheme = "http://";

std::string_view without_port(std::string_view host) noexcept {
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        return end == std::string_view::npos ? host : host.substr(1, end - 1);
    }
    return host.substr(0, host.find(':'));
}

bool same_name(std::string_view one, std::string_view other) noexcept {
    return std::ranges::equal(one, other, [](char a, char b) { return lower_case(a) == lower_case(b); });
}

}  // namespace

HttpTarget read_target(std::string_view target, std::string_view host) noexcept {
    std::string_view name = host;
    if (target.size() >= scheme.size() && same_name(target.substr(0, scheme.size()), scheme)) {
        target.remove_prefix(scheme.size());
        const std::size_t end = std::min(target.find_first_of("/?"), target.size());
        name = target.substr(0, end);
        target.remove_prefix(end);
        if (!target.starts_with('/')) target = "/";
    }
    return {.name = without_port(name), .path = target.substr(0, target.find('?'))};
}

bool is_own(const OwnNames& names, std::string_view name) {
    if (names.any || same_name(name, "localhost") || same_name(name, names.host)) return true;
    return name.find('/') == std::string_view::npos && parse_host_prefix(name);
}

}  // namespace preforkd
