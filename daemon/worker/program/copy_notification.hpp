#pragma once
// What a copy of a program says over NOTIFY_SOCKET.  Pure.
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace preforkd {

/// Of one message, what concerns a copy; anything else in it is left out.  Source: sd_notify(3).
struct CopyNotification {
    bool ready = false;                                 ///< READY=1
    bool stopping = false;                              ///< STOPPING=1
    bool alive = false;                                 ///< WATCHDOG=1
    bool hangs = false;                                 ///< WATCHDOG=trigger
    std::optional<std::string> status{};                ///< STATUS=
    std::optional<pid_t> main_pid{};                    ///< MAINPID=
    std::optional<std::chrono::milliseconds> extend{};  ///< EXTEND_TIMEOUT_USEC=
    friend bool operator==(const CopyNotification&, const CopyNotification&) = default;
};

[[nodiscard]] CopyNotification parse_copy_notification(std::string_view message);

}  // namespace preforkd
