#pragma once
// Starting a copy of a program that accepts by itself.
#include <sys/resource.h>

#include <span>
#include <string>
#include <vector>

#include "common/config/settings.hpp"
#include "common/process/child_process.hpp"
#include "common/process/process_change.hpp"

namespace preforkd {

class Sandbox;

/// What to start, and with which descriptors; all borrowed.
struct CopyStart {
    const std::string& file;
    const std::vector<std::string>& arguments;
    const std::vector<std::string>& environment;  ///< without LISTEN_PID and WATCHDOG_PID, which is the copy's own
    std::span<const int> sockets;                 ///< become 3 and those behind it; with PassStyle::Fd0 the first is 0
    PassStyle pass = PassStyle::Listen;
    int output = -1;  ///< becomes 1 and 2
    int ready = -1;   ///< becomes `ready_place`; -1: nothing does
    int ready_place = 0;
    int stop_signal = 0;  ///< sent by the kernel, too, should this process die first
    const rlimit& descriptor_limit;
    const ProcessChange* change = nullptr;  ///< nullptr: it runs as this process
    const Sandbox& sandbox;                 ///< which it puts on
};

/// Starts it as a shell would: no signal blocked or ignored, a process group of its own, no other descriptor.
///
/// By spawn(), and not by posix_spawn(3), because LISTEN_PID has to be the pid of the child itself.  A child without a
/// handle yet.  Throws std::system_error naming the program and why, also when only its exec fails.
[[nodiscard]] ChildProcess start_copy(const CopyStart& copy);

}  // namespace preforkd
