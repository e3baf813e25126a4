#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "common/child_process.hpp"

namespace preforkd {

/// How a worker ended, as an operator would say it: `exited with code 70`, `killed by SIGSEGV, core dumped`.
[[nodiscard]] std::string describe(const ExitReport& report);

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
