#include "common/cut_connections.hpp"

#include "preforkd/log.hpp"

namespace preforkd {

void log_cut_connections(std::uint64_t connections, int generation) noexcept {
    if (connections == 0) return;
    constexpr auto sentence =
        "connections were cut: still open when --stop-timeout was over, or a faster stop was ordered";
    if (generation == 0) return log(LogLevel::Warning, sentence, {{"connections", connections}});
    log(LogLevel::Warning, sentence, {{"connections", connections}, {"generation", std::int64_t{generation}}});
}

}  // namespace preforkd
