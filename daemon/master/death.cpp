#include "daemon/master/death.hpp"

#include <cstring>

#include <fmt/format.h>

#include "preforkd/log.hpp"

namespace preforkd {

std::string describe(const ExitReport& report) {
    if (report.kind == ExitReport::Kind::Exited) return fmt::format("exited with code {}", report.value);
    const char* name = ::sigabbrev_np(report.value);
    const std::string signal = name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", report.value);
    return fmt::format("killed by {}{}", signal, report.kind == ExitReport::Kind::Dumped ? ", core dumped" : "");
}

void log_death(const Death& death) {
    const bool orderly = death.expected && death.report == ExitReport{ExitReport::Kind::Exited, 0};
    const double age_seconds = static_cast<double>(death.age.count()) / 1000;
    const std::string cause = describe(death.report);
    log(orderly ? LogLevel::Info : LogLevel::Warning,
        fmt::format("worker {} (pid {}) {} after {:.1f}s, {} connections served", death.number, death.pid, cause,
                    age_seconds, death.served),
        {{"worker_number", std::int64_t{death.number}},
         {"worker_pid", std::int64_t{death.pid}},
         {"cause", cause},
         {"age_seconds", age_seconds},
         {"served", death.served}});
}

}  // namespace preforkd
