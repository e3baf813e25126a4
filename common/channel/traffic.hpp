#pragma once
// Bytes that pass between a worker's handlers and their clients.
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace preforkd {

/// Who writes to a counter.  With one writer an addition is a load and a store, and locks no bus.
enum class Writers {
    One,   ///< the worker's only thread
    Many,  ///< its threads, or the children it has forked
};

inline void add(std::atomic<std::uint64_t>& counter, std::uint64_t by, Writers writers) noexcept {
    if (writers == Writers::One)
        counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    else
        counter.fetch_add(by, std::memory_order_relaxed);
}

/// In a worker's record, its row of a listener, or the totals of dead ones.
struct Traffic {
    std::atomic<std::uint64_t> received{};
    std::atomic<std::uint64_t> sent{};
};

/// Who counts there, for a worker and one listener of it.
class TrafficCounter {
public:
    using Writers = preforkd::Writers;

    /// Both outlive it.
    TrafficCounter(Traffic& worker, Traffic& listener, Writers writers) noexcept
        : worker_{&worker}, listener_{&listener}, writers_{writers} {}
    /// For a worker alone.
    TrafficCounter(Traffic& worker, Writers writers) noexcept : worker_{&worker}, writers_{writers} {}

    void received(std::size_t bytes) const noexcept {
        add(worker_->received, bytes, writers_);
        if (listener_ != nullptr) add(listener_->received, bytes, writers_);
    }
    void sent(std::size_t bytes) const noexcept {
        add(worker_->sent, bytes, writers_);
        if (listener_ != nullptr) add(listener_->sent, bytes, writers_);
    }

private:
    Traffic* worker_;
    Traffic* listener_ = nullptr;
    Writers writers_;
};

}  // namespace preforkd
