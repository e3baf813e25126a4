#pragma once
// The master's listeners, written into a handover and taken out of it.
#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common/channel/source_table.hpp"
#include "common/config/listen_settings.hpp"
#include "common/net/listener.hpp"
#include "daemon/master/pool/handover.hpp"

namespace preforkd {

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
                          .serves = listener.settings.serves});
    return handed;
}

/// One that another version has laid out is left behind: the counts begin anew.
[[nodiscard]] inline std::shared_ptr<SourceTable> adopt_sources(UniqueFd memory) {
    try {
        return std::make_shared<SourceTable>(std::move(memory));
    } catch (const std::runtime_error&) { return nullptr; }
}

/// Owns the descriptors.  Throws std::invalid_argument for what this version cannot read.
[[nodiscard]] inline std::vector<Listener> from_handed(const std::vector<HandedListener>& handed) {
    std::vector<Listener> listeners;
    for (const HandedListener& each : handed) {
        listeners.push_back({.fd = UniqueFd{each.fd},
                             .settings = parse_listen(each.settings),
                             .local = parse_endpoint(each.local),
                             .inherited = each.inherited,
                             .file = each.file,
                             .sources = each.sources < 0 ? nullptr : adopt_sources(UniqueFd{each.sources}),
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
