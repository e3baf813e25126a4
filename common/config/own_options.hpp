#pragma once
// Options that handlers have declared.
#include <vector>

#include "common/config/settings.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// Of all `handlers`, each name once.
[[nodiscard]] std::vector<HandlerOption> own_options_of(const Handlers& handlers);

/// `given`, and for whatever else was declared its standard.
[[nodiscard]] HandlerOptions with_standards(HandlerOptions given, const HandlerEntry& entry);

/// What the handler of `entry` is made from.
[[nodiscard]] HandlerOptions options_for(const HandlerEntry& entry, const Settings& settings);

}  // namespace preforkd
