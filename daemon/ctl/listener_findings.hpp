#pragma once
// What limits one listener: its file, its queue, whom it refuses, how its connections end, its certificate.  Pure.
#include <chrono>
#include <vector>

#include "daemon/ctl/findings.hpp"

namespace preforkd {

void add_listener_findings(const Looks& looks, const ListenerStatus& listener, std::chrono::sys_seconds now,
                           std::vector<Finding>& findings);

}  // namespace preforkd
