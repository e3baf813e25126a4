#pragma once
// What a process uses just now.
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/base/clock.hpp"

namespace preforkd {

struct ProcessUse {
    std::optional<std::chrono::milliseconds> cpu{};  ///< its own, and that of its children that it has waited for
    std::optional<std::uint64_t> resident_bytes{};
    std::optional<std::uint64_t> open_descriptors{};
    friend bool operator==(const ProcessUse&, const ProcessUse&) = default;
};

/// The first of these alone, which takes one read.
[[nodiscard]] std::optional<std::chrono::milliseconds> cpu_time_of(pid_t pid);

/// Of `pid`; unset: /proc does not tell, or would have to be asked for each of too many descriptors (before Linux 6.2).
/// Source: proc(5).
[[nodiscard]] ProcessUse use_of_process(pid_t pid);

/// The same of one process, which /proc is asked for at most once a second: it takes 13 us, and there may be hundreds.
class SampledUse {
public:
    static constexpr std::chrono::seconds most_age{1};

    /// Valid until the next call.
    [[nodiscard]] const ProcessUse& of(pid_t pid, Clock::time_point now);

private:
    ProcessUse use_{};
    std::optional<Clock::time_point> sampled_{};
};

}  // namespace preforkd
