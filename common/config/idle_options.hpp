#pragma once
// Options that do nothing beside the others.  Pure.
#include <string>
#include <vector>

#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// A warning for each option that somebody gave another value than its default, and that has no effect beside the other
/// options: what it would need, and what to do.  What contradicts others is refused, see check_settings(): this is for
/// what may well stay in a file while something else is tried.  A default that each endpoint replaces by its own is
/// none.
[[nodiscard]] std::vector<std::string> idle_options(const Settings& settings, const Origins& origins);

}  // namespace preforkd
