#include "common/config/option_origin.hpp"

#include <fmt/core.h>

namespace preforkd {

std::string to_string(const Origin& origin) {
    switch (origin.kind) {
        case Origin::Kind::Default: return "default";
        case Origin::Kind::CommandLine: return "command line";
        case Origin::Kind::Environment: return "environment " + origin.place;
        case Origin::Kind::File: return origin.place;
    }
    return {};
}

std::string name_at(const Origin& origin, std::string_view option) {
    switch (origin.kind) {
        case Origin::Kind::Default:
        case Origin::Kind::CommandLine: return fmt::format("--{}", option);
        case Origin::Kind::Environment: return origin.place;
        case Origin::Kind::File: return fmt::format("{}: {}", origin.place, option);
    }
    return {};
}

ExitCode exit_code(const Origin& origin) noexcept {
    return origin.kind == Origin::Kind::CommandLine ? ExitCode::Usage : ExitCode::Configuration;
}

Origin origin_of(const Origins& origins, std::string_view option, std::size_t index) {
    const auto found = origins.find(option);
    if (found == origins.end() || index >= found->second.size()) return {};
    return found->second[index];
}

void blame(const Origin& origin, std::string_view option, std::string_view sentence) {
    throw OperatorError{exit_code(origin), fmt::format("{}: {}", name_at(origin, option), sentence)};
}

}  // namespace preforkd
