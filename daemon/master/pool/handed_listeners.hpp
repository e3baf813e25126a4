#pragma once
// The master's listeners, written into a handover and taken out of it.
#include <stdexcept>
#include <utility>
#include <vector>

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
                          .passed_name = listener.passed_name});
    return handed;
}

/// Owns the descriptors.  Throws std::invalid_argument for what this version cannot read.
[[nodiscard]] inline std::vector<Listener> from_handed(const std::vector<HandedListener>& handed) {
    std::vector<Listener> listeners;
    for (const HandedListener& each : handed)
        listeners.push_back({.fd = UniqueFd{each.fd},
                             .settings = parse_listen(each.settings),
                             .local = parse_endpoint(each.local),
                             .inherited = each.inherited,
                             .file = each.file,
                             .passed_name = each.passed_name});
    return listeners;
}

}  // namespace preforkd
