#pragma once
// What is counted of a listener: by each of its workers in memory that the master reads, and as plain numbers.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "common/base/clock.hpp"
#include "common/channel/connection_outcome.hpp"
#include "common/channel/histogram.hpp"
#include "common/channel/traffic.hpp"

namespace preforkd {

/// Listeners that have counts of their own; those behind them share the one row of the others.
inline constexpr std::size_t counted_listeners = 64;
inline constexpr std::size_t listener_rows = counted_listeners + 1;
[[nodiscard]] constexpr std::size_t row_of_listener(std::size_t index) noexcept {
    return std::min(index, counted_listeners);
}
[[nodiscard]] constexpr std::size_t rows_for(std::size_t listeners) noexcept {
    return std::min(listeners, listener_rows);
}

/// The most that were open at once, in a stretch of 34 s and in the one before.
struct MostOpen {
    std::uint64_t stretch = 0;  ///< its number
    std::uint64_t most = 0;
    std::uint64_t before = 0;

    /// As it is in the stretch `current`.
    [[nodiscard]] constexpr MostOpen moved_to(std::uint64_t current) const noexcept {
        if (stretch == current) return *this;
        return {.stretch = current, .before = stretch + 1 == current ? most : 0};
    }
    /// Of the last 34 to 69 s.
    [[nodiscard]] constexpr std::uint64_t lately() const noexcept { return std::max(most, before); }
};

/// How many are open, and what MostOpen says of that.
struct OpenConnections {
    std::atomic<std::uint64_t> now{};
    std::atomic<std::uint64_t> stretch{};  ///< in which `now` changed last
    std::atomic<std::uint64_t> most{};     ///< in that
    std::atomic<std::uint64_t> before{};   ///< in the one before

    static constexpr unsigned stretch_bits = 35;  // of nanoseconds
    [[nodiscard]] static constexpr std::uint64_t stretch_at(std::int64_t at_ns) noexcept {
        return static_cast<std::uint64_t>(at_ns) >> stretch_bits;
    }

    void change(std::uint64_t by, std::int64_t at_ns) noexcept {
        constexpr auto relaxed = std::memory_order_relaxed;
        const std::uint64_t open = now.load(relaxed);
        const std::uint64_t current = stretch_at(at_ns);
        if (const std::uint64_t last = stretch.load(relaxed); last != current) [[unlikely]] {
            before.store(last + 1 == current ? most.load(relaxed) : open, relaxed);
            most.store(open, relaxed);
            stretch.store(current, relaxed);
        }
        now.store(open + by, relaxed);
        // One fewer is more than all.
        if (open + by > most.load(relaxed) && open + by > open) most.store(open + by, relaxed);
    }
    [[nodiscard]] MostOpen most_at(std::int64_t at_ns) const noexcept {
        constexpr auto relaxed = std::memory_order_relaxed;
        const MostOpen known{
            .stretch = stretch.load(relaxed), .most = most.load(relaxed), .before = before.load(relaxed)};
        MostOpen found = known.moved_to(stretch_at(at_ns));
        found.most = std::max(found.most, now.load(relaxed));
        return found;
    }
};

/// One worker's counts of one listener.  The worker writes them, and the children that it forks.  The layout is
/// append-only, and its size has space for what later versions append.
struct alignas(512) ListenerRow {
    // What each connection writes is in three cache lines.
    std::atomic<std::uint64_t> accepted{};  ///< also those refused; datagrams: received
    OpenConnections open{};
    Traffic traffic{};
    std::atomic<std::uint64_t> spare{};
    std::array<std::atomic<std::uint64_t>, 8> closed{};  ///< by ConnectionOutcome
    SharedHistogram duration{};                          ///< of connections, from accept to close
    SharedHistogram accept_wait{};                       ///< in the accept queue: of a sample, where the kernel tells
    std::atomic<std::uint64_t> program_starts{};         ///< inetd=wait
    std::atomic<std::uint64_t> program_pause_ms{};       ///< between them now; 0: its program takes what waits
};
static_assert(connection_outcomes <= std::tuple_size_v<decltype(ListenerRow::closed)>);
static_assert(sizeof(ListenerRow) == 512);

/// What was counted of a listener, ever.
struct ListenerCounts {
    std::uint64_t accepted = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
    std::array<std::uint64_t, connection_outcomes> closed{};
    HistogramCounts duration{};
    HistogramCounts accept_wait{};
    std::uint64_t program_starts = 0;  ///< inetd=wait, where nobody counts the rest
    friend bool operator==(const ListenerCounts&, const ListenerCounts&) = default;
};

/// `merge` of all numbers of both, one by one.
void combine(ListenerCounts& into, const ListenerCounts& from, std::uint64_t (*merge)(std::uint64_t, std::uint64_t));
void combine(HistogramCounts& into, const HistogramCounts& from, std::uint64_t (*merge)(std::uint64_t, std::uint64_t));

/// The sum, which stays at what a number can be.
[[nodiscard]] constexpr std::uint64_t sum_of(std::uint64_t one, std::uint64_t other) noexcept {
    return one + other < one ? ~std::uint64_t{0} : one + other;
}
[[nodiscard]] constexpr std::uint64_t larger_of(std::uint64_t one, std::uint64_t other) noexcept {
    return std::max(one, other);
}

/// More than a worker of that age can have counted: what one that was taken over has written there may be any number.
struct PlausibleCounts {
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
    std::uint64_t busy_us = 0;  ///< summed up over all that it does at once
};
[[nodiscard]] PlausibleCounts plausible_for(std::chrono::nanoseconds age) noexcept;

[[nodiscard]] ListenerCounts counts_of(const ListenerRow& row, const PlausibleCounts& most) noexcept;
/// Whatever a worker has written there: an hour at most.
[[nodiscard]] std::chrono::milliseconds program_pause(const ListenerRow& row) noexcept;
[[nodiscard]] HistogramCounts counts_of(const SharedHistogram& histogram, const PlausibleCounts& most) noexcept;

}  // namespace preforkd
