#pragma once
// A number of the handler's own, for `preforkctl status` and /metrics.
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace preforkd {

/// What all workers of the service have added, the dead ones included, over reloads and upgrades.  A handler has it as
/// a member, or as a variable of the program:
///
///     preforkd::Counter hits_{"cache_hits"};
///     ...
///     hits_.add();
///
/// `preforkctl status` shows `cache_hits`, and --observe has it as preforkd_handler_cache_hits_total.  Any thread of a
/// worker may add, and so may the children of model fork; counters of one name are one.  Where there is no master
/// (--workers 0) nobody reads it.  Nothing is lost when a worker is killed.
class Counter {
public:
    /// `name`: letters, digits and _, no digit first, at most 47, without the `_total` that is put behind it.  Throws
    /// std::invalid_argument.  A worker has space for 56; the log says which one is not counted.
    explicit Counter(std::string_view name);

    /// Costs an atomic addition.
    void add(std::uint64_t by = 1) noexcept {
        std::atomic<std::uint64_t>* const cell = cell_.load(std::memory_order_acquire);
        (cell != nullptr ? *cell : find()).fetch_add(by, std::memory_order_relaxed);
    }

private:
    [[nodiscard]] std::atomic<std::uint64_t>& find() noexcept;

    std::string name_;
    std::atomic<std::atomic<std::uint64_t>*> cell_{};  ///< since this process has first added; nullptr: not yet
};

}  // namespace preforkd
