#pragma once
// What the master tells systemd: sd_notify(3).  Every call is silent and free outside systemd.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/unique_fd.hpp"

namespace preforkd {

class SystemdNotify {
public:
    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID and FDSTORE, and takes them out of the environment that
    /// children see.  Throws OperatorError (71) when one of the first two is set and libsystemd cannot be loaded.
    SystemdNotify();

    /// Whether anybody listens.
    [[nodiscard]] bool active() const noexcept;

    /// How often to call watchdog(): half of WATCHDOG_USEC; nullopt if systemd does not ask for it.
    [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_period() const noexcept;

    void ready(std::string_view status);
    void reloading();  ///< end it with ready()
    void stopping();
    void status(std::string_view text);  ///< sent only when it differs from the last
    void watchdog();
    void extend_timeout(std::chrono::microseconds by);

    /// How many descriptors systemd keeps for us; 0: none.  systemd 254 says so in FDSTORE; for an older one the unit
    /// sets the variable beside FileDescriptorStoreMax=, because nothing tells whether a descriptor was kept.
    [[nodiscard]] std::size_t store_limit() const noexcept { return store_limit_; }

    /// Has systemd keep a copy of `fd`, and forget all that it keeps by that name.  `name`: up to 255 printable ASCII
    /// characters without a colon.  A descriptor of the same open file that is kept already is kept once.
    void store(std::string_view name, int fd);
    void forget(std::string_view name);

    /// Nothing here waits for systemd.  When its queue is full, what is to be stored or forgotten and the last ready(),
    /// reloading() or stopping() are kept and go ahead of whatever is sent next; other messages are lost.  Sends what
    /// was kept; false: it still is.
    bool flush();

private:
    enum class Sent { Yes, QueueFull, No };
    struct Message {
        std::string text{};
        UniqueFd fd{};  ///< goes along
    };

    void announce(std::string state);
    bool send(std::string_view message);
    void deliver(Message message);
    [[nodiscard]] Sent send_datagram(std::string_view message, int fd = -1) const;

    std::string socket_{};
    std::optional<std::chrono::microseconds> watchdog_period_{};
    std::size_t store_limit_ = 0;
    std::string last_status_{};
    std::vector<Message> undelivered_{};
    std::string unsent_state_{};
};

}  // namespace preforkd
