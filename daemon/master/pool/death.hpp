#pragma once
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdint>

#include "common/channel/scoreboard.hpp"
#include "common/control/death_report.hpp"
#include "common/control/service_counts.hpp"
#include "common/process/child_process.hpp"

namespace preforkd {

/// What is known of a worker that has died.
struct Death {
    int number = 0;
    pid_t pid = 0;
    ExitReport report{};
    std::chrono::milliseconds age{};
    int generation = 1;
    DeathOrder order = DeathOrder::None;  ///< the last one
    bool was_ready = true;
    bool expected = false;  ///< it was told to leave
    bool out_of_memory = false;
    rusage used{};

    [[nodiscard]] bool in_good_order() const noexcept { return report == ExitReport{ExitReport::Kind::Exited, 0}; }
    [[nodiscard]] bool by_sigkill() const noexcept { return report == ExitReport{ExitReport::Kind::Killed, SIGKILL}; }
};

/// `master: resize`, `kernel: out of memory`, `another process` (an operator, another program), `nobody` (it crashed or
/// left by itself).
[[nodiscard]] std::string ordered_by(const Death& death, const WorkerRecord& record);

/// The one reason for which it is counted.
[[nodiscard]] DeathCause cause_of(const Death& death, const WorkerRecord& record);

/// Its own, and that of its children that it had waited for.
[[nodiscard]] std::chrono::milliseconds processor_time_of(const Death& death);

/// With what the worker has noted of itself in `record`.
[[nodiscard]] DeathReport report_on(const Death& death, const WorkerRecord& record);

/// The address of the client that came last; empty if there was none, or one without an address.
[[nodiscard]] std::string last_peer_of(const WorkerRecord& record);

/// How many connections a stop did not wait for: those open when the worker was told so, or when it was killed.
[[nodiscard]] std::uint64_t connections_cut(const Death& death, const WorkerRecord& record);

/// One line for each death: at level info if it left as it was told to, else as a warning.
void log_death(const DeathReport& death);

/// One line for all log lines that it had to drop and could not tell of any more.
void log_lost_lines(const Death& death, const WorkerRecord& record);

}  // namespace preforkd
