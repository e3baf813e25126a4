#pragma once
// What fits, and does not fit, programs that accept by themselves: --run pool, and inetd=wait.  Pure.
#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// Throws OperatorError, as check_settings() does, for the first setting that could have no effect: what concerns
/// clients, whom such a program accepts behind our back, and what only copies have where there are none.
void check_copies(const Settings& settings, const Origins& origins);

}  // namespace preforkd
