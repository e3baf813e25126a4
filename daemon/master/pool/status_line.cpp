#include "daemon/master/pool/status_line.hpp"

#include <fmt/format.h>

#include "common/base/counted.hpp"

namespace preforkd {

std::string status_line(const PoolCounts& pool) {
    std::string line = counted(static_cast<std::uint64_t>(pool.target), "worker");
    line += pool.of_copies ? fmt::format(": {} running", pool.idle)
                           : fmt::format(": {} idle, {} with clients", pool.idle, pool.with_clients);
    if (pool.starting != 0) line += fmt::format(", {} starting", pool.starting);
    if (pool.leaving != 0) line += fmt::format(", {} leaving", pool.leaving);
    if (pool.stopped != 0) line += fmt::format(", {} stopped", pool.stopped);
    if (!pool.of_copies) line += fmt::format("; requests: {} open, {} served", pool.connections, pool.served);
    if (pool.replaced != 0) line += fmt::format("; {} replaced", counted(pool.replaced, "worker"));
    if (pool.dropped_log_lines != 0) line += fmt::format("; {} dropped", counted(pool.dropped_log_lines, "log line"));
    return line;
}

}  // namespace preforkd
