#pragma once
// What the master tells systemd: sd_notify(3).  Every call is silent and free outside systemd.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace preforkd {

class ServiceNotify {
public:
    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment that children see.
    ServiceNotify();

    /// Whether anybody listens.
    [[nodiscard]] bool active() const noexcept;

    /// How often to call watchdog(): half of WATCHDOG_USEC; nullopt if systemd does not ask for it.
    [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_period() const noexcept;

    void ready(std::string_view status);
    void stopping();
    void status(std::string_view text);  ///< sent only when it differs from the last
    void watchdog();
    void extend_timeout(std::chrono::microseconds by);

private:
    void send(const std::string& message) const;

    std::string socket_{};
    std::optional<std::chrono::microseconds> watchdog_period_{};
    std::string last_status_{};
};

}  // namespace preforkd
