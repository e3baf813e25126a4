#include "common/process/child_process.hpp"

#include <fmt/format.h>

#include <cstring>

namespace preforkd {

std::string describe(const ExitReport& report) {
    if (report.kind == ExitReport::Kind::Exited) return fmt::format("exited with code {}", report.value);
    if (report.kind == ExitReport::Kind::Unknown) return "ended unobserved";
    const char* name = ::sigabbrev_np(report.value);
    const std::string signal = name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", report.value);
    return fmt::format("killed by {}{}", signal, report.kind == ExitReport::Kind::Dumped ? ", core dumped" : "");
}

}  // namespace preforkd
