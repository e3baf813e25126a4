#pragma once
// Why clients wait for a worker, or find the queue full.  Pure.
#include <string>
#include <vector>

#include "daemon/ctl/findings.hpp"

namespace preforkd {

/// Behind `because`, and what helps; both empty where workers have capacity.
struct WaitReason {
    std::string because{};
    std::string remedy{};
};
[[nodiscard]] WaitReason why_clients_wait(const Looks& looks, const ListenerStatus& listener);

/// Where workers have used up the processors that they may.
inline constexpr const char* remedy_for_processors =
    "give it more processors (systemd: CPUQuota=, AllowedCPUs=), or have handlers do less";

/// Where all workers have all the connections that they may.  `program`: which is what they serve; without, as it is at
/// any of the listeners.
[[nodiscard]] std::string remedy_for_full_workers(const StatusReport& report, bool program);
[[nodiscard]] std::string remedy_for_full_workers(const StatusReport& report);

/// What `listener`'s queue has to tell.
void add_queue_findings(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings);

/// `within 1.0 s`.
[[nodiscard]] std::string within_text(const Looks& looks);

/// `1 client waits`, `2 clients wait`: `what` in the singular, `does` in the plural.
[[nodiscard]] std::string those_that(std::uint64_t count, std::string_view what, std::string_view does);

}  // namespace preforkd
