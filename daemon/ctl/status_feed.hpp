#pragma once
// Looks at a daemon, again and again, for who has other things to wait for: it may be silent, go and come back.
#include <chrono>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/control/death_report.hpp"
#include "common/control/status_report.hpp"
#include "daemon/ctl/control_line.hpp"

namespace preforkd {

class StatusFeed {
public:
    struct Look {
        StatusReport status{};
        DeathRing deaths{};
        Clock::time_point at{};  ///< when its status was known
    };

    /// `timeout`: for how long a silent daemon is waited for; zero: for ever.  Throws std::runtime_error where nobody
    /// is there to begin with.
    StatusFeed(const Endpoint& control, std::chrono::milliseconds timeout);

    /// Begins a look, unless one is still awaited; connects where it has to.
    void ask(Clock::time_point now);

    /// The look that was asked for, once it has arrived.
    [[nodiscard]] std::optional<Look> hear(Clock::time_point now);

    /// What tells that there is something to hear; -1: nothing.
    [[nodiscard]] int fd() const noexcept { return line_ ? line_->fd() : -1; }

    /// Why nothing arrives; empty where it does.
    [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

private:
    void connect();
    void begin(Clock::time_point now);
    void end(std::string trouble);

    Endpoint control_;
    std::chrono::milliseconds timeout_;
    std::optional<ControlLine> line_{};
    std::optional<Clock::time_point> asked_at_{};
    std::optional<Look> look_{};  ///< whose deaths are still to come
    std::string trouble_{};
};

}  // namespace preforkd
