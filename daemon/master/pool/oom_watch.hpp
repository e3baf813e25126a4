#pragma once
// Whether the OOM killer was involved.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace preforkd {

/// The count of `oom_kill` in a memory.events (cgroup v2) or memory.oom_control (v1).  Pure.
[[nodiscard]] std::optional<std::uint64_t> oom_kills_in(std::string_view text);

/// The file of this process's memory cgroup that counts them; empty where there is none.
[[nodiscard]] std::string oom_events_file();

/// Looks at the cgroup's counter at each death: what has moved it since the one before was the kernel.
///
/// Exact while nothing but workers dies of it in this cgroup; a program that does is counted for the next worker that
/// is killed.
class OomWatch {
public:
    /// `file`: the counter; by default that of this process, looked up anew each time.
    explicit OomWatch(std::string file = {});

    /// One of ours was killed with SIGKILL, or died otherwise: true if the kernel is to blame.
    [[nodiscard]] bool is_to_blame(bool killed);

private:
    [[nodiscard]] std::uint64_t count() const;

    std::string file_;
    std::uint64_t seen_;
    std::uint64_t unclaimed_ = 0;  ///< kills whose death has not been reaped yet
};

}  // namespace preforkd
