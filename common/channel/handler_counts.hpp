#pragma once
// What a handler counts by itself: names and numbers of one worker, in memory that the master reads.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "common/channel/listener_counts.hpp"

namespace preforkd {

inline constexpr std::size_t longest_counter_name = 47;
inline constexpr std::size_t handler_counters =
    56;  // of one worker: what the last page of its listeners' rows has left

/// Whether it can stand within the name of a metric: letters, digits and _, no digit first.  `_total` ends none: it is
/// put behind each.
[[nodiscard]] bool is_counter_name(std::string_view name) noexcept;

/// A name and a number.  Any thread of the worker writes, and so do the children that it forks.
struct HandlerCount {
    enum class State : std::uint64_t { Free, Claimed, Named };

    std::atomic<State> state{};
    std::atomic<std::uint64_t> value{};
    std::array<std::atomic<std::uint64_t>, (longest_counter_name + 1) / sizeof(std::uint64_t)> words{};  ///< its name

    [[nodiscard]] std::string name() const;
};
static_assert(sizeof(HandlerCount) == 64);

/// The number of that name, which is given one where it has none; nullptr: all are taken.  Two who begin with a name at
/// once may get one each, and a process that is killed meanwhile leaves one that nobody has: the master adds up.
[[nodiscard]] std::atomic<std::uint64_t>* find_handler_count(std::span<HandlerCount> rows,
                                                             std::string_view name) noexcept;

/// By name, as far as it is one; each at most `most`, whatever is written there.
[[nodiscard]] std::map<std::string, std::uint64_t> counts_of(std::span<const HandlerCount> rows,
                                                             const PlausibleCounts& most);

/// In a worker: where its handlers count from now on.  Elsewhere they count for nobody.
void use_handler_counts(std::span<HandlerCount> rows) noexcept;

}  // namespace preforkd
