// The state behind log(): which level, which descriptor, what was dropped.  No locks: threads of a worker log while
// its loop adopts another descriptor, and a child may be forked at any moment.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/log/journal_record.hpp"
#include "common/log/log_fields.hpp"
#include "common/log/log_format.hpp"
#include "common/log/log_output.hpp"
#include "common/log/log_patience_policy.hpp"
#include "common/log/log_sink.hpp"

namespace preforkd {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

constinit std::atomic<LogLevel> threshold{LogLevel::Info};
constinit std::atomic<LogLayout> layout{LogLayout::Text};
constinit std::atomic<LogWay> way{LogWay::Ask};
constinit std::atomic<int> output_fd{STDERR_FILENO};
constinit std::atomic<bool> opened{false};
constinit std::atomic<unsigned> openings{0};
constinit std::atomic<Clock::time_point> waits_spent_until{Clock::time_point{}};
constinit std::atomic<bool> shared{false};  // a pipe into which others write, who may leave a line unfinished

// getpid() is a system call; 0: to be asked.  Of a thread, because a forked child has one that writes there anyway.
constinit thread_local int process = 0;
constinit std::atomic<int> worker{0};
constinit std::atomic<std::uint64_t> dropped_here{0};
constinit std::atomic<std::atomic<std::uint64_t>*> dropped{&dropped_here};
constinit UntoldLines untold_here{};
constinit std::atomic<UntoldLines*> untold{&untold_here};
constinit std::atomic<bool> torn{false};
constinit std::atomic<bool> in_file{false};     // that --log-file names
constinit std::atomic<bool> complained{false};  // on standard error, about the disk; a child has it from its parent
constinit std::atomic<ErrorNote*> error_note{nullptr};

int process_id() noexcept {
    if (process == 0) process = ::getpid();
    return process;
}

/// The child's lines carry its own process id, and its parent's losses are its parent's to report.  What is 0 is left
/// alone: the first write copies the page.
void forget_parent() noexcept {
    process = 0;
    for (auto* losses : {&dropped_here, &untold_here.count})
        if (losses->load(relaxed) != 0) losses->store(0, relaxed);
}

LogLine format_line(LogLevel level, std::string_view sentence, std::span<const LogField> fields) noexcept {
    thread_local LogTimestamp timestamp;
    const LogRecord record{
        .level = level, .sentence = sentence, .fields = fields, .pid = process_id(), .worker = worker.load(relaxed)};
    const auto now = [] { return timestamp.text(std::chrono::system_clock::now()); };
    switch (layout.load(relaxed)) {
        case LogLayout::Text: return format_text(record, now());
        case LogLayout::Terminal: return format_terminal(record, now(), false);
        case LogLayout::ColouredTerminal: return format_terminal(record, now(), true);
        case LogLayout::Json: return format_json(record, now());
        case LogLayout::Journal: return format_journal(record);
    }
    return LogLine{0};
}

/// For a moment, and rarely: see log_patience_policy.hpp.  Whether there may be space now.
bool wait_for_space(int fd) noexcept {
    const Clock::time_point before = Clock::now();
    if (!may_wait_for_log(waits_spent_until.load(relaxed), before)) return false;
    ::pollfd space{.fd = fd, .events = POLLOUT, .revents = 0};
    const bool found = ::poll(&space, 1, longest_wait_for_log.count()) == 1;
    const Clock::time_point now = Clock::now();
    waits_spent_until.store(after_wait(waits_spent_until.load(relaxed), now, now - before, !found), relaxed);
    return found;
}

/// How much of it was written.
std::size_t write_bytes(std::string_view bytes) noexcept {
    const int fd = output_fd.load(relaxed);
    const LogWay how = opened.load(relaxed) ? way.load(relaxed) : log_way_of(fd);
    std::size_t written = write_log_bytes(fd, how, bytes);
    if (written == 0 && errno == EAGAIN && shared.load(relaxed) && wait_for_space(fd))
        written = write_log_bytes(fd, how, bytes);
    if (written == 0) untold.load(relaxed)->error.store(errno, relaxed);
    return written;
}

LogOutcome write_line(const LogLine& line) noexcept {
    const std::string_view bytes = shared.load(relaxed) ? line.view_from_newline() : line.view();
    const std::size_t written = write_bytes(bytes);
    if (written == 0) return LogOutcome::Dropped;
    return written == bytes.size() ? LogOutcome::Written : LogOutcome::Torn;
}

void count_dropped(std::uint64_t lines) noexcept {
    if (lines == 0) return;
    dropped.load(relaxed)->fetch_add(lines, relaxed);
    untold.load(relaxed)->count.fetch_add(lines, relaxed);
}

/// Says what was dropped, if anything was.  False: still nobody reads.
bool report_dropped() noexcept {
    UntoldLines& losses = *untold.load(relaxed);
    if (losses.count.load(relaxed) == 0) return true;
    const std::uint64_t lines = losses.count.exchange(0, relaxed);
    if (lines == 0) return true;  // another thread or process tells
    LogLine sentence{0};
    sentence.append_number(lines);
    sentence.append(" log lines dropped: ");
    sentence.append(why_dropped(losses.error.load(relaxed)));
    const bool clean = !torn.load(relaxed) || write_bytes("\n") == 1;
    if (clean) torn.store(false, relaxed);
    if (clean && write_line(format_line(LogLevel::Warning, sentence.view(), {})) == LogOutcome::Written) {
        complained.store(false, relaxed);
        return true;
    }
    losses.count.fetch_add(lines, relaxed);
    return false;
}

/// A full disk may stay full: what is wrong is said once, where it can still be said.
void complain_on_standard_error() noexcept {
    const std::string_view trouble = disk_trouble(untold.load(relaxed)->error.load(relaxed));
    if (trouble.empty() || !in_file.load(relaxed) || complained.exchange(true, relaxed)) return;
    LogLine sentence{0};
    sentence.append("--log-file: ");
    sentence.append(trouble);
    sentence.append("; lines are dropped until that has changed");
    const LogLine line = format_line(LogLevel::Error, sentence.view(), {});
    (void)write_log_line(STDERR_FILENO, log_way_of(STDERR_FILENO), line.view());
}

/// Makes `fd` the output without a moment in which another thread could write to a closed or reused descriptor: the
/// number stays, dup3() swaps what is behind it.  Standard error itself is never replaced.
void install(UniqueFd fd) noexcept {
    const LogWay new_way = log_way_of(fd.get());
    if (opened.load(relaxed)) {
        int rc = -1;
        do {
            rc = ::dup3(fd.get(), output_fd.load(relaxed), O_CLOEXEC);
        } while (rc == -1 && (errno == EINTR || errno == EBUSY));
        if (rc == -1) return;  // only if fd is no descriptor, or the output itself
    } else {
        output_fd.store(fd.release(), relaxed);
    }
    torn.store(false, relaxed);  // the rest of that line is the old output's
    way.store(new_way, relaxed);
    opened.store(true, std::memory_order_release);
}

void refuse_journal_in_file(const LogSettings& settings) {
    if (settings.file.empty() || settings.format != LogFormat::Journal) return;
    throw OperatorError{ExitCode::Configuration,
                        "--log-format journal writes no file: leave --log-file out, or choose text or json"};
}

/// By errno.
[[noreturn]] void refuse_journal(const std::string& socket) {
    throw OperatorError{ExitCode::Configuration, "--log-format journal: " + socket + ": " + std::strerror(errno) +
                                                     "; start systemd-journald, or choose text or json"};
}

/// The sentence as it is printed.
void note_error(std::string_view sentence, std::span<const LogField> fields) noexcept {
    ErrorNote* note = error_note.load(relaxed);
    if (note == nullptr) return;
    LogLine line{0};
    append_sentence(line, {.sentence = sentence, .fields = fields}, LogEscape::Sentence);
    note->write(line.view());
}

}  // namespace

bool log_enabled(LogLevel level) noexcept { return level <= threshold.load(relaxed); }

void log(LogLevel level, std::string_view sentence, std::initializer_list<LogField> fields) noexcept {
    log_fields(level, sentence, {fields.begin(), fields.size()});
}

void log_fields(LogLevel level, std::string_view sentence, std::span<const LogField> fields) noexcept {
    if (!log_enabled(level)) return;
    const int callers_errno = errno;
    if (level == LogLevel::Error) note_error(sentence, fields);
    const LogOutcome outcome =
        report_dropped() ? write_line(format_line(level, sentence, fields)) : LogOutcome::Dropped;
    if (outcome != LogOutcome::Written) count_dropped(1);
    if (outcome == LogOutcome::Dropped) complain_on_standard_error();
    if (outcome == LogOutcome::Torn) torn.store(true, relaxed);
    errno = callers_errno;
}

void log_whole_lines(std::string_view lines) noexcept {
    while (!lines.empty() && report_dropped()) {
        const std::size_t written = write_bytes(lines);
        if (written == 0) break;
        torn.store(lines[written - 1] != '\n', relaxed);
        lines.remove_prefix(written);
    }
    if (lines.empty()) return;
    count_dropped(static_cast<std::uint64_t>(std::ranges::count(lines, '\n')));
    complain_on_standard_error();
}

void look_at_log(const LogSettings& settings, const std::string& journal_socket) {
    refuse_journal_in_file(settings);
    if (!settings.file.empty()) return look_at_file_log(settings.file);
    if (settings.format == LogFormat::Journal && !open_journal_log(journal_socket)) refuse_journal(journal_socket);
}

void open_log(const LogSettings& settings, const std::string& journal_socket) {
    UniqueFd fd;
    LogFormat chosen = settings.format;
    refuse_journal_in_file(settings);
    if (!settings.file.empty()) {
        fd = open_file_log(settings.file);
    } else if (chosen == LogFormat::Journal || (chosen == LogFormat::Auto && standard_error_is_journal())) {
        fd = open_journal_log(journal_socket);
        if (fd) chosen = LogFormat::Journal;
        if (!fd && chosen == LogFormat::Journal) refuse_journal(journal_socket);
    }
    if (!fd) fd = open_standard_error_log();
    const LogLayout next = log_layout(chosen, fd.get());

    [[maybe_unused]] static const int watched = ::pthread_atfork(nullptr, nullptr, forget_parent);
    install(std::move(fd));
    in_file.store(!settings.file.empty(), relaxed);
    shared.store(false, relaxed);
    openings.fetch_add(1, relaxed);
    layout.store(next, relaxed);
    threshold.store(settings.level, relaxed);
}

void reopen_log(const LogSettings& settings) {
    if (settings.file.empty()) return log(LogLevel::Notice, "no --log-file to reopen");
    try {
        open_log(settings);
    } catch (const std::exception& error) {
        return log(LogLevel::Error, "the log file was not reopened: {cause}", {{"cause", error.what()}});
    }
    log(LogLevel::Notice, "log file reopened");
}

bool log_is_open() noexcept { return opened.load(relaxed); }

int log_fd() noexcept { return output_fd.load(relaxed); }

unsigned log_openings() noexcept { return openings.load(relaxed); }

bool log_is_file() noexcept {
    struct ::stat status {};
    if (!opened.load(relaxed) || ::fstat(output_fd.load(relaxed), &status) == -1) return false;
    return S_ISREG(status.st_mode) || (S_ISFIFO(status.st_mode) && in_file.load(relaxed));
}

void adopt_log_fd(int fd) noexcept { install(UniqueFd{fd}); }

void log_into_pipe(int pipe) {
    adopt_log_fd(open_own_end(pipe).release());
    shared.store(true, relaxed);
    in_file.store(false, relaxed);
    struct ::stat status {};
    if (::fstat(STDERR_FILENO, &status) == -1 || !S_ISREG(status.st_mode)) return;
    // What handlers and their children print there is not ready to find no space, as in the file that it was.
    const UniqueFd for_printing = open_own_end(pipe, true);
    check(::dup2(for_printing.get(), STDERR_FILENO), "redirect standard error");
}

void set_log_worker(int worker_number) noexcept { worker.store(worker_number, relaxed); }

void note_errors_in(ErrorNote& note) noexcept { error_note.store(&note, relaxed); }

void count_dropped_lines_in(std::atomic<std::uint64_t>& counter) noexcept { dropped.store(&counter, relaxed); }

void keep_untold_lines_in(UntoldLines& lines) noexcept { untold.store(&lines, relaxed); }

std::uint64_t dropped_log_lines() noexcept { return dropped_here.load(relaxed); }

}  // namespace preforkd
