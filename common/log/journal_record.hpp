#pragma once
// One event as a datagram of the journal's native protocol.  Pure.
#include "common/log/log_format.hpp"

namespace preforkd {

/// PRIORITY, SYSLOG_IDENTIFIER, PREFORKD_WORKER, MESSAGE, and a PREFORKD_<NAME> for each field.  The journal notes
/// time and process itself.  A record that was cut ends with PREFORKD_CUT=1.
///
/// Source: systemd, docs/JOURNAL_NATIVE_PROTOCOL.md; systemd.journal-fields(7).
[[nodiscard]] LogLine format_journal(const LogRecord& record) noexcept;

/// The level as syslog(3) numbers it.
[[nodiscard]] constexpr int journal_priority(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::Error: return 3;
        case LogLevel::Warning: return 4;
        case LogLevel::Notice: return 5;
        case LogLevel::Info: return 6;
        case LogLevel::Debug: return 7;
    }
    return 7;
}

}  // namespace preforkd
