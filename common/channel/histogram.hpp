#pragma once
// How often something took how long.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/channel/traffic.hpp"

namespace preforkd {

/// The longest duration of each bucket; what is longer than all of them is in one more.  Append nothing: counts go from
/// image to image.
inline constexpr std::array<std::chrono::nanoseconds, 14> histogram_bounds = [] {
    using namespace std::chrono_literals;
    return std::array<std::chrono::nanoseconds, 14>{100us, 250us, 1ms, 2500us, 10ms, 25ms, 100ms,
                                                    250ms, 500ms, 1s,  2500ms, 10s,  30s,  60s};
}();
inline constexpr std::size_t histogram_buckets = histogram_bounds.size() + 1;

[[nodiscard]] constexpr std::size_t bucket_of(std::chrono::nanoseconds duration) noexcept {
    std::size_t bucket = 0;
    while (bucket < histogram_bounds.size() && duration > histogram_bounds[bucket]) ++bucket;
    return bucket;
}

/// What a clock that was set, or a writer that lies, makes less than nothing is nothing.
[[nodiscard]] constexpr std::uint64_t microseconds_of(std::chrono::nanoseconds duration) noexcept {
    return duration.count() <= 0 ? 0 : static_cast<std::uint64_t>(duration.count()) / 1000;
}

/// As plain numbers.
struct HistogramCounts {
    std::array<std::uint64_t, histogram_buckets> buckets{};  ///< each for itself, not those below it too
    std::uint64_t sum_us = 0;

    void add(std::chrono::nanoseconds duration) noexcept {
        ++buckets[bucket_of(duration)];
        sum_us += microseconds_of(duration);
    }
    [[nodiscard]] constexpr std::uint64_t count() const noexcept {
        std::uint64_t sum = 0;
        for (const std::uint64_t each : buckets) sum += each;
        return sum;
    }
    friend bool operator==(const HistogramCounts&, const HistogramCounts&) = default;
};

/// The bound of the bucket in which the slowest of the fastest `share` are, of 0 to 1; the longest duration there is,
/// if that is beyond all bounds.  Of no durations: zero.
[[nodiscard]] constexpr std::chrono::nanoseconds bound_of(const HistogramCounts& histogram, double share) noexcept {
    const std::uint64_t all = histogram.count();
    if (all == 0) return std::chrono::nanoseconds::zero();
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < histogram_bounds.size(); ++bucket) {
        seen += histogram.buckets[bucket];
        if (static_cast<double>(seen) >= share * static_cast<double>(all)) return histogram_bounds[bucket];
    }
    return std::chrono::nanoseconds::max();
}

/// In memory that others read.
struct SharedHistogram {
    std::atomic<std::uint64_t> sum_us{};  ///< in one cache line with what is short
    std::array<std::atomic<std::uint64_t>, histogram_buckets> buckets{};

    void add(std::chrono::nanoseconds duration, Writers writers) noexcept {
        preforkd::add(buckets[bucket_of(duration)], 1, writers);
        preforkd::add(sum_us, microseconds_of(duration), writers);
    }
    /// All that another has counted.
    void add(const SharedHistogram& other, Writers writers) noexcept {
        for (std::size_t bucket = 0; bucket < histogram_buckets; ++bucket)
            if (const std::uint64_t counted = other.buckets[bucket].load(std::memory_order_relaxed); counted != 0)
                preforkd::add(buckets[bucket], counted, writers);
        preforkd::add(sum_us, other.sum_us.load(std::memory_order_relaxed), writers);
    }
};

}  // namespace preforkd
