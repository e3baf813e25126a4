#include "daemon/master/log_reopening.hpp"

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "common/log/log_sink.hpp"

namespace preforkd {

void LogReopening::ask(const LogSettings& settings, std::chrono::milliseconds patience) {
    if (trial_) trial_->give_up();
    trial_.reset();
    asked_ = settings;
    if (settings.file.empty()) return;
    const auto open = [&](const ChildCall::Attempt& attempt) {
        attempt("--log-file " + settings.file);
        (void)open_file_log(settings.file);
        return std::string{};
    };
    try {
        trial_.emplace(open, patience);
    } catch (const std::system_error&) {}  // no space for a child
}

void LogReopening::maintain(Clock::time_point now) {
    if (!asked_) return;
    if (trial_) trial_->mind_the_time(now);
    if (trial_ && !trial_->over()) return;
    const LogSettings settings = *std::exchange(asked_, std::nullopt);
    try {
        if (trial_) (void)trial_->result();
    } catch (const std::exception& error) {
        return log(LogLevel::Error, "the log file was not reopened: {cause}", {{"cause", error.what()}});
    }
    reopen_log(settings);
}

}  // namespace preforkd
