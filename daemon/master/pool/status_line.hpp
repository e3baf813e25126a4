#pragma once
#include <cstdint>
#include <string>

namespace preforkd {

/// What the STATUS= of systemd and the log say about the pool.
struct PoolCounts {
    int target = 0;  ///< workers wanted
    int starting = 0;
    int idle = 0;
    int with_clients = 0;
    int leaving = 0;
    int stopped = 0;                ///< by SIGSTOP, whatever they did then
    std::uint64_t connections = 0;  ///< open now, and datagrams being served
    std::uint64_t served = 0;       ///< ended since the start
    std::uint64_t replaced = 0;     ///< workers that died and were replaced
    std::uint64_t dropped_log_lines = 0;
    bool of_copies = false;  ///< of a program, which accepts by itself: idle ones may well be busy
};

/// One line: `8 workers: 6 idle, 2 with clients; requests: 2 open, 1234 served`, with what else is not zero; of copies
/// `8 workers: 8 running`.
[[nodiscard]] std::string status_line(const PoolCounts& pool);

}  // namespace preforkd
