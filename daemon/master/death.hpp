#pragma once
#include <chrono>
#include <cstdint>

#include "common/exit_report.hpp"

namespace preforkd {

/// What is known of a worker that has died.
struct Death {
    int number = 0;
    pid_t pid = 0;
    ExitReport report{};
    std::chrono::milliseconds age{};
    std::uint64_t served = 0;
    bool expected = false;  ///< it was told to leave
};

/// One line for each death: at level info if it left as it was told to, else as a warning.
void log_death(const Death& death);

}  // namespace preforkd
