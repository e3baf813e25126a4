#pragma once
#include <sys/types.h>

#include <optional>
#include <vector>

#include "common/control/status_report.hpp"
#include "daemon/master/pool/generations.hpp"
#include "daemon/master/pool/key_process.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Which process signs for which worker: the one of its generation, as long as that lives, or else a newer one, which
/// may have the same keys.
///
/// Those of the generations that are kept at their size are replaced.  Those of older ones, and of the image before,
/// are left to end by themselves, with the last worker that they sign for.
class KeyProcesses {
public:
    /// All outlive it.
    KeyProcesses(EpollSet& events, Generations& generations, WorkerTable& workers)
        : events_{events}, generations_{generations}, workers_{workers} {}

    /// Replaces those that have died, and has each worker signed for.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline deadline(Clock::time_point now) const;

    /// Reads what the process `pid` has said, if it is one.
    void hear(pid_t pid);
    /// Collects the child `pid`, which has ended; false if it is none of these.
    bool reap(pid_t pid, Clock::time_point now);
    [[nodiscard]] bool is_one(pid_t pid) const noexcept;

    /// `generation` gets no worker any more.
    void leave(const Generation& generation);

    /// The current generation's; nullopt: it wants none.
    [[nodiscard]] std::optional<KeyProcessStatus> status() const;

    // To another image, and from one.
    [[nodiscard]] std::vector<pid_t> all() const;
    void adopt(std::vector<pid_t> before) { old_ = std::move(before); }

private:
    [[nodiscard]] std::vector<KeyProcess*> kept() const;
    [[nodiscard]] KeyProcess* find(pid_t pid) const noexcept;
    [[nodiscard]] KeyProcess* signing_for(const WorkerEntry& worker) const noexcept;
    void forget(pid_t dead) noexcept;

    EpollSet& events_;
    Generations& generations_;
    WorkerTable& workers_;
    std::vector<pid_t> old_{};
};

}  // namespace preforkd
