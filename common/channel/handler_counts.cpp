#include "common/channel/handler_counts.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/base/noted_bytes.hpp"
#include "common/base/quoted.hpp"
#include "preforkd/counter.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

std::span<HandlerCount> counts_of_this_worker;

}  // namespace

bool is_counter_name(std::string_view name) noexcept {
    constexpr std::string_view first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    constexpr std::string_view digits = "0123456789";
    const auto is_one_of = [](char c, std::string_view some) { return some.find(c) != std::string_view::npos; };
    const auto fits = [&](char c) { return is_one_of(c, first) || is_one_of(c, digits); };
    return !name.empty() && name.size() <= longest_counter_name && is_one_of(name[0], first) &&
           std::ranges::all_of(name, fits) && !name.ends_with("_total");
}

std::string HandlerCount::name() const {
    std::string text = load_bytes(words);
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
}

std::atomic<std::uint64_t>* find_handler_count(std::span<HandlerCount> rows, std::string_view name) noexcept {
    for (HandlerCount& row : rows)
        if (row.state.load(std::memory_order_acquire) == HandlerCount::State::Named && row.name() == name)
            return &row.value;
    for (HandlerCount& row : rows) {
        auto free = HandlerCount::State::Free;
        if (!row.state.compare_exchange_strong(free, HandlerCount::State::Claimed, relaxed)) continue;
        store_bytes(row.words, name.data(), name.size());  // what is free is zero
        row.state.store(HandlerCount::State::Named, std::memory_order_release);
        return &row.value;
    }
    return nullptr;
}

std::map<std::string, std::uint64_t> counts_of(std::span<const HandlerCount> rows, const PlausibleCounts& most) {
    std::map<std::string, std::uint64_t> counts;
    for (const HandlerCount& row : rows) {
        if (row.state.load(std::memory_order_acquire) != HandlerCount::State::Named) continue;
        const std::string name = row.name();
        if (!is_counter_name(name)) continue;
        std::uint64_t& sum = counts[name];
        sum = sum_of(sum, std::min(row.value.load(relaxed), most.bytes));
    }
    return counts;
}

void use_handler_counts(std::span<HandlerCount> rows) noexcept { counts_of_this_worker = rows; }

Counter::Counter(std::string_view name) : name_{name} {
    if (!is_counter_name(name))
        throw std::invalid_argument{
            "Counter: " + in_quotes(name) + ": expected letters, digits and _, no digit first, at most " +
            std::to_string(longest_counter_name) + ", without the _total that is put behind it"};
}

std::atomic<std::uint64_t>& Counter::find() noexcept {
    static std::atomic<std::uint64_t> nobodys;
    // What is found in the master, before a worker was forked, would be the worker's as well.
    if (counts_of_this_worker.empty()) return nobodys;
    std::atomic<std::uint64_t>* cell = find_handler_count(counts_of_this_worker, name_);
    if (cell == nullptr) {
        log(LogLevel::Warning, "the handler's counter {counter} is not counted: a worker has space for {limit}",
            {{"counter", name_}, {"limit", std::uint64_t{handler_counters}}});
        cell = &nobodys;
    }
    cell_.store(cell, std::memory_order_release);
    return *cell;
}

}  // namespace preforkd
