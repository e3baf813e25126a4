#pragma once
// TERM, QUIT and INT where no master could end a handler that never gives the thread back: --workers 0.
#include <array>
#include <chrono>
#include <csignal>
#include <optional>

#include "common/unique_fd.hpp"

namespace preforkd {

/// Takes the signals that stop, by handlers that set the last deadline and pass them on to the loop.  Not a signalfd,
/// which only the loop could read.  Also those that the process was started to ignore.
/// One per process, which ends within `stop_timeout` after the first TERM or QUIT, within 2 s after another or INT.
class StopSignals {
public:
    enum class Stop { Graceful, Fast };

    explicit StopSignals(std::chrono::milliseconds stop_timeout);
    ~StopSignals();  ///< blocks them, as they were
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    /// Readable when there is something to take().
    [[nodiscard]] int fd() const noexcept { return bell_.get(); }

    /// What was asked for since the last time; the faster, if both were.
    [[nodiscard]] std::optional<Stop> take() noexcept;

private:
    static constexpr std::array signals{SIGTERM, SIGQUIT, SIGINT};

    UniqueFd bell_;
    std::array<struct sigaction, signals.size()> before_{};
};

}  // namespace preforkd
