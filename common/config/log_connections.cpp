#include "common/config/log_connections.hpp"

#include <array>
#include <stdexcept>

#include "common/config/named_value.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr std::array<Named<LogConnections>, 4> kinds{{{"begin", LogConnections::Begin},
                                                      {"end", LogConnections::End},
                                                      {"both", LogConnections::Both},
                                                      {"no", LogConnections::No}}};

}  // namespace

LogConnections read_log_connections(std::string_view text) {
    try {
        return read_yes_no(text) ? LogConnections::Begin : LogConnections::No;
    } catch (const std::invalid_argument&) { return read_named(kinds, text); }
}

std::string print_log_connections(LogConnections value) { return name_of(kinds, value); }

}  // namespace preforkd
