#pragma once
// Two looks at one daemon, and what has happened between them.  Pure.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/control/status_report.hpp"

namespace preforkd {

struct Looks {
    StatusReport before{};
    StatusReport now{};
    std::chrono::milliseconds between{};
};

/// Whether `now` counts on from `before`, as it does over reloads and upgrades: else it is another daemon's.
[[nodiscard]] bool counts_on(const StatusReport& now, const StatusReport& before) noexcept;

/// What was counted in between.
struct ListenerChange {
    ListenerCounts counts{};
    std::uint64_t dropped = 0;
    RefusedClients refused{};
    std::uint64_t queued_before = 0;
    std::uint64_t program_starts = 0;  ///< inetd=wait
};
[[nodiscard]] ListenerChange change_of(const ListenerStatus& listener, const Looks& looks);
[[nodiscard]] ServiceCounts change_of_counts(const Looks& looks);

/// Of all listeners together.
[[nodiscard]] ListenerCounts change_of_listeners(const Looks& looks);

/// A second, of what was counted in between.
[[nodiscard]] double rate_of(std::uint64_t count, const Looks& looks) noexcept;

/// The same worker, when it was looked at before; null: it was not there.
[[nodiscard]] const WorkerStatus* find_before(const WorkerStatus& worker, const Looks& looks) noexcept;

/// Processors that have been busy with the worker called `pid`, 1 for all of one; and with all workers, dead ones too.
[[nodiscard]] double processors_of(const WorkerStatus& worker, const Looks& looks) noexcept;
[[nodiscard]] double processors_of_all(const Looks& looks) noexcept;

/// The number of `now` less that of `before`; nothing is less than zero.
[[nodiscard]] constexpr std::uint64_t growth(std::uint64_t now, std::uint64_t before) noexcept {
    return now > before ? now - before : 0;
}

/// Whether it takes clients, or could.
[[nodiscard]] bool is_ready(const WorkerStatus& worker) noexcept;
[[nodiscard]] std::size_t ready_workers(const StatusReport& report) noexcept;

}  // namespace preforkd
