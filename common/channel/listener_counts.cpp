#include "common/channel/listener_counts.hpp"

namespace preforkd {
namespace {

// A worker of one thread has served 300,000 datagrams a second, and copied 10 GB.
constexpr std::uint64_t events_per_second = 4'000'000;
constexpr std::uint64_t bytes_per_second = 100'000'000'000;
constexpr std::uint64_t at_once = 100'000;  // connections, each of which takes a second of its own

std::uint64_t bounded(const std::atomic<std::uint64_t>& counter, std::uint64_t most) noexcept {
    return std::min(counter.load(std::memory_order_relaxed), most);
}

}  // namespace

void combine(HistogramCounts& into, const HistogramCounts& from, std::uint64_t (*merge)(std::uint64_t, std::uint64_t)) {
    std::ranges::transform(into.buckets, from.buckets, into.buckets.begin(), merge);
    into.sum_us = merge(into.sum_us, from.sum_us);
}

void combine(ListenerCounts& into, const ListenerCounts& from, std::uint64_t (*merge)(std::uint64_t, std::uint64_t)) {
    into.accepted = merge(into.accepted, from.accepted);
    into.received_bytes = merge(into.received_bytes, from.received_bytes);
    into.sent_bytes = merge(into.sent_bytes, from.sent_bytes);
    std::ranges::transform(into.closed, from.closed, into.closed.begin(), merge);
    combine(into.duration, from.duration, merge);
    combine(into.accept_wait, from.accept_wait, merge);
    into.program_starts = merge(into.program_starts, from.program_starts);
}

PlausibleCounts plausible_for(std::chrono::nanoseconds age) noexcept {
    constexpr std::uint64_t longest = 100'000'000;  // three years, so that all of them are numbers
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(age).count();
    const std::uint64_t seconds = 1 + std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(whole, 0)), longest);
    return {.events = seconds * events_per_second,
            .bytes = seconds * bytes_per_second,
            .busy_us = seconds * at_once * 1'000'000};
}

HistogramCounts counts_of(const SharedHistogram& histogram, const PlausibleCounts& most) noexcept {
    HistogramCounts counts;
    std::ranges::transform(histogram.buckets, counts.buckets.begin(),
                           [&](const auto& bucket) { return bounded(bucket, most.events); });
    counts.sum_us = bounded(histogram.sum_us, most.busy_us);
    return counts;
}

std::chrono::milliseconds program_pause(const ListenerRow& row) noexcept {
    constexpr std::uint64_t most = 3'600'000;
    return std::chrono::milliseconds{static_cast<std::int64_t>(bounded(row.program_pause_ms, most))};
}

ListenerCounts counts_of(const ListenerRow& row, const PlausibleCounts& most) noexcept {
    ListenerCounts counts{.accepted = bounded(row.accepted, most.events),
                          .received_bytes = bounded(row.traffic.received, most.bytes),
                          .sent_bytes = bounded(row.traffic.sent, most.bytes),
                          .duration = counts_of(row.duration, most),
                          .accept_wait = counts_of(row.accept_wait, most),
                          .program_starts = bounded(row.program_starts, most.events)};
    for (std::size_t outcome = 0; outcome < connection_outcomes; ++outcome)
        counts.closed[outcome] = bounded(row.closed[outcome], most.events);
    return counts;
}

}  // namespace preforkd
