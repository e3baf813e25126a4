#pragma once
// How long the server may keep us waiting: --timeout.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "common/base/clock.hpp"
#include "common/base/sys_error.hpp"

namespace preforkd {

/// A deadline for the whole conversation.  Only a user who types moves it; a slow reader behind standard output does
/// not, or an endless answer would have no end.
class Patience {
public:
    explicit Patience(std::chrono::milliseconds timeout) : until_{deadline_after(Clock::now(), timeout)} {}

    [[nodiscard]] Deadline until() const noexcept { return until_; }

    /// The end of the first of `parts` equal shares of what is left.
    [[nodiscard]] Deadline share(std::size_t parts) const {
        if (!until_) return until_;
        const Clock::time_point now = Clock::now();
        return now + (*until_ - now) / static_cast<Clock::rep>(parts);
    }

    /// Does `work` without counting its time.
    template <class Work>
    void excuse(Work work) {
        const Clock::time_point began = Clock::now();
        work();
        if (until_) *until_ += Clock::now() - began;
    }

private:
    Deadline until_;
};

/// Waits until one of `watched` has something to tell; false once `until` has passed, whatever they tell: a server that
/// never pauses must not outrun the deadline.
[[nodiscard]] inline bool wait_until(Deadline until, std::span<pollfd> watched) {
    for (;;) {
        int patience_ms = -1;
        if (until) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now());
            if (left.count() <= 0) return false;
            patience_ms = static_cast<int>(std::min<std::int64_t>(left.count(), std::numeric_limits<int>::max()));
        }
        const int ready = ::poll(watched.data(), watched.size(), patience_ms);
        if (ready > 0) return true;
        if (ready == -1 && errno != EINTR) throw_errno("poll");
    }
}

}  // namespace preforkd
