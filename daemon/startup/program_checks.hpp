#pragma once
// Whether the programs of a generation can be found and started, before anybody is served.
#include "common/config/option_origin.hpp"
#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

/// What is executed for each.  Throws OperatorError (78) that names the option.
[[nodiscard]] ProgramFiles find_programs(const Settings& settings, const Origins& origins);

/// As what the programs of listeners run.  Throws OperatorError (77, 78) that names the listener and the key.
[[nodiscard]] ProcessChanges look_up_changes(const Settings& settings, const Origins& origins);

/// See try_program() and try_change(): with the plan's files, identity and sandbox.
void try_programs(const GenerationPlan& plan, const Origins& origins);

}  // namespace preforkd
