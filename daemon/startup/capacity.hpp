#pragma once
// How many connections a worker may hold, and how many descriptors that leaves for the rest.  Pure.
#include <algorithm>
#include <cstddef>
#include <optional>

#include "preforkd/model.hpp"

namespace preforkd {

struct Capacity {
    std::size_t connections = 1;  ///< open at once in one worker
    std::size_t parked = 1;       ///< connections that wait for the client's end, beside them
};

/// --connections, or what suits the model: 1024 for async; 1 for serial, always; 40 for thread and fork.
[[nodiscard]] constexpr std::size_t wanted_connections(std::optional<int> asked, Model model) noexcept {
    if (model == Model::Serial) return 1;
    if (asked) return static_cast<std::size_t>(*asked);
    return model == Model::Async ? 1024 : 40;
}

/// What serves a connection.
enum class ServedBy { BlockingHandler, Coroutine, Forward, Program, ProgramBehindTls };

/// The connection itself; where it has a process, that one's handle too; where that is a program, its standard error,
/// and the socket that leads to it where that is not the connection; where it has a thread, what a coroutine's own loop
/// waits with: an epoll set, an eventfd, a timerfd; where it is forwarded, the socket that leads on.
[[nodiscard]] constexpr std::size_t descriptors_each(Model model, ServedBy by) noexcept {
    if (by == ServedBy::Program) return 3;
    if (by == ServedBy::ProgramBehindTls) return 4;
    const std::size_t onward = by == ServedBy::Forward ? 1 : 0;
    if (model == Model::Thread && by != ServedBy::BlockingHandler) return 4 + onward;
    return (model == Model::Fork ? 2 : 1) + onward;
}

/// Fits `wanted` into RLIMIT_NOFILE: a quarter of it, at most 1024, is for parked connections, and what the worker
/// itself holds (listeners, log, channel, reactor, what a handler opens) stays free.  At least 1 of each.
/// `each`: descriptors that one open connection takes, see descriptors_each().
[[nodiscard]] constexpr Capacity fit_capacity(std::size_t wanted, std::size_t open_files, std::size_t listeners,
                                              std::size_t each = 1) noexcept {
    const std::size_t parked = std::clamp<std::size_t>(open_files / 4, 1, 1024);
    const std::size_t own = 24 + listeners;
    const std::size_t space = open_files > parked + own + each ? (open_files - parked - own) / each : 1;
    return {.connections = std::min(wanted, space), .parked = parked};
}

}  // namespace preforkd
