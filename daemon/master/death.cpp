#include "daemon/master/death.hpp"

#include <fmt/format.h>

#include "preforkd/log.hpp"

namespace preforkd {

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
