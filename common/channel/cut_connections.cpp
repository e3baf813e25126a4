#include "common/channel/cut_connections.hpp"

#include "preforkd/log.hpp"

namespace preforkd {

void log_cut_connections(std::uint64_t connections, int generation) noexcept {
    if (connections == 0) return;
    log(LogLevel::Warning,
        generation == 0
            ? "connections were cut: {connections}, still open when --stop-timeout was over or a faster stop was "
              "ordered"
            : "connections were cut: {connections} of generation {generation}, still open when --stop-timeout was over "
              "or a faster stop was ordered",
        {{"connections", connections}, {"generation", std::int64_t{generation}}});
}

}  // namespace preforkd
