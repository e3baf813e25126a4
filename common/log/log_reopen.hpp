#pragma once
#include <exception>

#include "common/log/log_output.hpp"

namespace preforkd {

/// What USR1 asks for: opens the log file again and says so.  False, with a line, when there is none or it cannot be
/// opened; the old one stays, and the service goes on.
[[nodiscard]] inline bool reopen_log(const LogSettings& settings) {
    if (settings.file.empty()) {
        log(LogLevel::Notice, "no --log-file to reopen");
        return false;
    }
    try {
        open_log(settings);
    } catch (const std::exception& error) {
        log(LogLevel::Error, "the log file was not reopened: {cause}", {{"cause", error.what()}});
        return false;
    }
    log(LogLevel::Notice, "log file reopened");
    return true;
}

}  // namespace preforkd
