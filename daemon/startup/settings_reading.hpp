#pragma once
// Reading the settings without ever waiting for a file server.
#include <chrono>
#include <optional>

#include "common/process/child_call.hpp"
#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

/// Begins to read the file that -C names, in a child, and to look there for what the settings name: the log file, the
/// user, the directory, the program.  What answers there will answer the master; what is wrong with it is for
/// whoever uses it to say.  The result is the text of the file, for read_daemon_options().
/// nullopt: there is no space for a child; then they are read where one is.
[[nodiscard]] std::optional<ChildCall> begin_reading_settings(const StartUp& start_up,
                                                              std::chrono::milliseconds patience);

}  // namespace preforkd
