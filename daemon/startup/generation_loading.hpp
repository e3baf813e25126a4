#pragma once
// A reload as the master sees it: reads the settings anew and opens what they add.
#include <memory>

#include "daemon/master/reload/loading.hpp"
#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

/// What has been planned already, and so is not planned again.
struct Planned {
    Invocation invocation{};
    std::shared_ptr<GenerationPlan> plan{};
};

/// `start_up` must outlive it.  `first`: what the first load takes, without reading anything.
[[nodiscard]] BeginLoading load_generation(const StartUp& start_up, std::optional<Planned> first = {});

/// Built-in handlers cannot accept where a program waits, nor the other way round.  `run`, `listeners`: those in force.
/// Throws OperatorError.
void refuse_other_way_of_running(const Settings& next, RunMode run, const std::vector<Listener>& listeners);

/// A remark when the file that -C names holds no setting any more, only comments.  Throws OperatorError when it is
/// blank: rather an editor that is still writing it than an operator who wants nothing but defaults.
/// `before`: what the file said when it was last read.
[[nodiscard]] std::string check_emptied_config(const std::optional<std::string>& before, const Invocation& now);

}  // namespace preforkd
