#pragma once
// How much of what the programs of a worker write to standard error is logged.
#include <cstdint>
#include <memory>

#include "common/base/token_bucket.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// Lets so many lines through, with a reserve of two seconds, and says once a second how many were dropped.  The timer
/// runs only in the second after a drop.
class StderrRate {
public:
    static constexpr std::int64_t burst_seconds = 2;

    /// `lines_per_second`: 0 for no limit.
    StderrRate(Reactor& reactor, std::uint32_t lines_per_second);

    /// Whether a line may be logged; one that may not is counted.
    [[nodiscard]] bool allow();

    /// Says what has not been said yet.
    void say_dropped();

private:
    TokenRate rate_;
    bool limited_;
    TokenBucket lines_{};
    std::uint64_t dropped_ = 0;
    std::unique_ptr<Timer> timer_;
};

}  // namespace preforkd
