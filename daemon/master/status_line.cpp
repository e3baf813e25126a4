#include "daemon/master/status_line.hpp"

#include <fmt/format.h>

namespace preforkd {

std::string status_line(const PoolCounts& pool) {
    std::string line =
        fmt::format("{} worker{}: {} idle, {} busy", pool.target, pool.target == 1 ? "" : "s", pool.idle, pool.busy);
    if (pool.starting != 0) line += fmt::format(", {} starting", pool.starting);
    if (pool.leaving != 0) line += fmt::format(", {} leaving", pool.leaving);
    line +=
        fmt::format("; {} connection{}, {} served", pool.connections, pool.connections == 1 ? "" : "s", pool.served);
    if (pool.replaced != 0) line += fmt::format("; {} workers replaced", pool.replaced);
    if (pool.dropped_log_lines != 0) line += fmt::format("; {} log lines dropped", pool.dropped_log_lines);
    return line;
}

}  // namespace preforkd
