#pragma once
// What the master tells systemd: sd_notify(3).  Every call is silent and free outside systemd.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

class ServiceNotify {
public:
    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment that children see.
    ServiceNotify();

    /// Whether anybody listens.
    [[nodiscard]] bool active() const noexcept;

    /// How often to call watchdog(): half of WATCHDOG_USEC; nullopt if systemd does not ask for it.
    [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_period() const noexcept;

    /// The variables that were taken, as NAME=value: what an upgrade passes on to the new image of the master.
    [[nodiscard]] const std::vector<std::string>& environment() const noexcept;

    void ready(std::string_view status);
    void reloading();  ///< end it with ready()
    void stopping();
    void status(std::string_view text);  ///< sent only when it differs from the last
    void watchdog();
    void extend_timeout(std::chrono::microseconds by);

    /// Nothing here waits for systemd.  When its queue is full, the last ready(), reloading() or stopping() is kept and
    /// goes ahead of whatever is sent next; other messages are lost.  Sends what was kept; false: it still is.
    bool flush();

private:
    enum class Sent { Yes, QueueFull, No };

    void announce(std::string state);
    bool send(std::string_view message);
    [[nodiscard]] Sent send_datagram(std::string_view message) const;

    std::string socket_{};
    std::vector<std::string> environment_{};
    std::optional<std::chrono::microseconds> watchdog_period_{};
    std::string last_status_{};
    std::string unsent_state_{};
};

}  // namespace preforkd
