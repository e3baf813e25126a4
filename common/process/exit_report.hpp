#pragma once
#include <string>

#include "common/process/child_process.hpp"

namespace preforkd {

/// How a child ended, as an operator would say it: `exited with code 70`, `killed by SIGSEGV, core dumped`,
/// `ended unobserved`.
[[nodiscard]] std::string describe(const ExitReport& report);

}  // namespace preforkd
