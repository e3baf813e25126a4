#pragma once
// One line per event, one write per line, never a wait for whoever reads it.
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

namespace preforkd {

enum class LogLevel { Error, Warning, Notice, Info, Debug };

/// A value that a line carries beside its sentence.  Borrowed: it must live until log() returns.
struct LogField {
    /// lower_snake_case; upper-cased with the prefix PREFORKD_ in the journal.  `worker` and `pid` take the place of
    /// the logging process's own; `time`, `level`, `message` and `cut` are taken.
    std::string_view name;
    std::variant<std::string_view, std::int64_t, std::uint64_t, double> value;
};

/// Whether lines of `level` are printed.  Ask before preparing anything costly.
[[nodiscard]] bool log_enabled(LogLevel level) noexcept;

/// Prints one event.  The sentence may name fields in braces, which become their values in every format, while the
/// fields themselves stay for programs to read:
///
///     log(LogLevel::Notice, "order {id} took {ms} ms", {{"id", id}, {"ms", took.count()}, {"customer", name}});
///
/// prints `order 7 took 12 ms`.  Name what the line cannot be understood without: journalctl, systemctl status and a
/// terminal show the sentence alone (a terminal also the fields of a sentence that names none).  A brace that names no
/// field stays as it is.  Text of a client comes last in a sentence, so that it cannot pass for the rest of it.
///  Control characters in any text are escaped, so nothing a client sends can forge a line or reach
/// a terminal; the line is cut at PIPE_BUF.  When the reader has stopped reading, the line is dropped and counted, and
/// the count is reported with the next line that gets through.  Safe from several threads; not from a signal handler.
void log(LogLevel level, std::string_view sentence, std::initializer_list<LogField> fields = {}) noexcept;

}  // namespace preforkd
