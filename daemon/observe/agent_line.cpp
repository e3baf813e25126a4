#include "daemon/observe/agent_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace preforkd {

std::string agent_line(const Snapshot* snapshot) {
    if (snapshot == nullptr) return "down #master does not answer\n";
    const StatusReport& status = snapshot->status;
    if (status.phase != "running" && status.phase != "starting") return fmt::format("drain up #{}\n", status.phase);
    if (snapshot->why_not_ready) return fmt::format("ready down #{}\n", *snapshot->why_not_ready);
    if (status.connection_slots == 0) return "ready up 100%\n";
    const std::uint64_t open = std::min(status.connections, status.connection_slots);
    return fmt::format("ready up {}%\n",
                       std::max<std::uint64_t>((status.connection_slots - open) * 100 / status.connection_slots, 1));
}

}  // namespace preforkd
