#pragma once
// Bytes that pass between a worker's handlers and their clients.
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace preforkd {

/// In a worker's record, or the totals of dead ones.
struct Traffic {
    std::atomic<std::uint64_t> received{};
    std::atomic<std::uint64_t> sent{};
};

/// Who counts there.  With one writer an addition is a load and a store, and locks no bus.
class TrafficCounter {
public:
    enum class Writers {
        One,   ///< the worker's only thread
        Many,  ///< its threads, or the children it has forked
    };

    /// `traffic` outlives it.
    TrafficCounter(Traffic& traffic, Writers writers) noexcept : traffic_{&traffic}, writers_{writers} {}

    void received(std::size_t bytes) const noexcept { add(traffic_->received, bytes); }
    void sent(std::size_t bytes) const noexcept { add(traffic_->sent, bytes); }

private:
    void add(std::atomic<std::uint64_t>& counter, std::size_t bytes) const noexcept {
        if (writers_ == Writers::One)
            counter.store(counter.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
        else
            counter.fetch_add(bytes, std::memory_order_relaxed);
    }

    Traffic* traffic_;
    Writers writers_;
};

}  // namespace preforkd
