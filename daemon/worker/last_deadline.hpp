#pragma once
// How a process that has been told to end does so in time although a handler never gives its thread back.
#include <chrono>

#include "common/shared_slots.hpp"

namespace preforkd {

/// Who ends when the time is over.
enum class LastDeadline {
    EndsGroup,  ///< a worker: it, and whatever its handlers have started in its process group
    EndsAlone,  ///< the process that is the worker: its group is the shell's job
};

/// Says what arm_last_deadline() needs to know.  One per process; `record` must live on.
void prepare_last_deadline(LastDeadline kind, const WorkerRecord& record) noexcept;

/// Ends the process once `time` has passed, whatever it is doing then: SIGALRM, whose handler says what was cut.
/// Zero: never.  For signal handlers, too; a later call counts instead of the one before.
/// Source: signal-safety(7); setitimer(2) is a plain system call.
void arm_last_deadline(std::chrono::milliseconds time) noexcept;

/// The loop has heard of it and keeps the time itself: from now on `time`, if it is armed at all.
void postpone_last_deadline(std::chrono::milliseconds time) noexcept;

/// How long it is until then; `otherwise` if it is not armed.
[[nodiscard]] std::chrono::milliseconds left_of_last_deadline(std::chrono::milliseconds otherwise) noexcept;

void disarm_last_deadline() noexcept;

}  // namespace preforkd
