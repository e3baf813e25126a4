#pragma once
// The master's listeners, written into a handover and taken out of it.
#include <algorithm>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common/channel/source_table.hpp"
#include "common/config/listen_settings.hpp"
#include "common/net/listener.hpp"
#include "daemon/master/pool/handover.hpp"

namespace preforkd {

/// But for what its table tells by itself.
[[nodiscard]] inline std::vector<std::uint64_t> refused_before(const Listener& listener) {
    if (!listener.refused) return {};
    RefusalTotals::Counts counts = listener.refused->sum();
    if (listener.sources)
        std::ranges::transform(counts, listener.sources->cells().refusals(), counts.begin(), std::minus{});
    return {counts.begin(), counts.end()};
}

[[nodiscard]] inline std::vector<HandedListener> to_handed(const std::vector<Listener>& listeners) {
    std::vector<HandedListener> handed;
    for (const Listener& listener : listeners)
        handed.push_back({.fd = listener.fd.get(),
                          .settings = to_string(listener.settings),
                          .local = to_string(listener.local),
                          .inherited = listener.inherited,
                          .file = listener.file,
                          .passed_name = listener.passed_name,
                          .sources = listener.sources ? listener.sources->memory_fd() : -1,
                          .refused = refused_before(listener),
                          .serves = listener.settings.serves,
                          .order_lost = listener.order_lost});
    return handed;
}

/// One that another version has laid out is left behind: the counts begin anew.
[[nodiscard]] inline std::shared_ptr<SourceTable> adopt_sources(UniqueFd memory,
                                                                const std::shared_ptr<RefusalTotals>& totals) {
    try {
        return std::make_shared<SourceTable>(std::move(memory), totals);
    } catch (const std::runtime_error&) { return nullptr; }
}

[[nodiscard]] inline std::shared_ptr<RefusalTotals> adopt_totals(const HandedListener& handed) {
    if (handed.sources < 0 && handed.refused.empty()) return nullptr;
    RefusalTotals::Counts before{};
    std::copy_n(handed.refused.begin(), std::min(handed.refused.size(), before.size()), before.begin());
    return std::make_shared<RefusalTotals>(before);
}

/// Owns the descriptors.  Throws std::invalid_argument for what this version cannot read.
[[nodiscard]] inline std::vector<Listener> from_handed(const std::vector<HandedListener>& handed) {
    std::vector<Listener> listeners;
    for (const HandedListener& each : handed) {
        const auto totals = adopt_totals(each);
        listeners.push_back({.fd = UniqueFd{each.fd},
                             .settings = parse_listen(each.settings),
                             .local = parse_endpoint(each.local),
                             .inherited = each.inherited,
                             .file = each.file,
                             .sources = each.sources < 0 ? nullptr : adopt_sources(UniqueFd{each.sources}, totals),
                             .refused = totals,
                             .order_lost = each.order_lost,
                             .passed_name = each.passed_name});
        listeners.back().settings.serves = each.serves;
    }
    return listeners;
}

/// Takes out of `listeners` those that are not for clients.
[[nodiscard]] inline std::vector<Listener> take_observed(std::vector<Listener>& listeners) {
    const auto observed = std::ranges::stable_partition(
        listeners, [](const Listener& each) { return each.settings.serves == Serves::Clients; });
    std::vector<Listener> taken{std::make_move_iterator(observed.begin()), std::make_move_iterator(observed.end())};
    listeners.erase(observed.begin(), observed.end());
    return taken;
}

}  // namespace preforkd
