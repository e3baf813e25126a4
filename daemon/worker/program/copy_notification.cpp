#include "daemon/worker/program/copy_notification.hpp"

#include <algorithm>
#include <cstdint>

#include "common/base/parse_number.hpp"
#include "common/base/take_until.hpp"

namespace preforkd {

CopyNotification parse_copy_notification(std::string_view message) {
    constexpr std::uint64_t longest_ms = std::uint64_t{24} * 3'600'000;
    CopyNotification said;
    while (!message.empty()) {
        std::string_view value = take_until(message, '\n');
        const std::string_view name = take_until(value, '=');
        if (name == "READY")
            said.ready |= value == "1";
        else if (name == "STOPPING")
            said.stopping |= value == "1";
        else if (name == "WATCHDOG" && value == "trigger")
            said.hangs = true;
        else if (name == "WATCHDOG")
            said.alive |= value == "1";
        else if (name == "STATUS")
            said.status = value;
        else if (name == "MAINPID")
            said.main_pid = parse_number<pid_t>(value);
        else if (name == "EXTEND_TIMEOUT_USEC")
            if (const auto us = parse_number<std::uint64_t>(value))
                said.extend = std::chrono::milliseconds{std::min(*us / 1000, longest_ms)};
    }
    if (said.main_pid && *said.main_pid <= 1) said.main_pid.reset();
    return said;
}

}  // namespace preforkd
