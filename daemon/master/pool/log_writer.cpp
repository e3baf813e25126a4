#include "daemon/master/pool/log_writer.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/log/log_output.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/isolation.hpp"
#include "common/process/spawn.hpp"

namespace preforkd {

namespace {

constexpr int patience_at_the_end_ms = 2000;
constexpr int patience_with_others_ms = 200;  // who live on, and the process with them

/// Whether somebody can still write into the pipe.
bool is_held_by_others(int reader) noexcept {
    ::pollfd pipe{.fd = reader, .events = 0, .revents = 0};
    return ::poll(&pipe, 1, 0) == 0;
}

}  // namespace

struct LogWriter::Losses {
    std::atomic<std::uint64_t> dropped{};
    UntoldLines untold{};  ///< of which the next process tells, where one could not
};

LogWriter::LogWriter() {
    void* const shared = ::mmap(nullptr, sizeof(Losses), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw_errno("map a counter");
    losses_ = new (shared) Losses{};
    check(::madvise(losses_, sizeof(Losses), MADV_DONTFORK), "keep a counter out of workers");
}

LogWriter::~LogWriter() { ::munmap(losses_, sizeof(Losses)); }

std::uint64_t LogWriter::dropped_lines() const noexcept { return losses_->dropped.load(std::memory_order_relaxed); }

void LogWriter::follow(Clock::time_point now) {
    if (const unsigned openings = log_openings(); std::exchange(openings_, openings) != openings) {
        wanted_ = log_is_file();
        outdated_ = true;
    }
    if (!wanted_) return;
    if (!pipe_.writer) {
        pipe_ = open_log_pipe();
        if (process_) old_.push_back(process_->pid());  // it reads another pipe to its end
        process_.reset();
    }
    if (is_incomplete() && respawn_.not_before <= now) start(now);
}

void LogWriter::start(Clock::time_point now) {
    try {
        check(::madvise(losses_, sizeof(Losses), MADV_DOFORK), "share a counter");
        ChildProcess next = spawn([this] { return write_lines(); }, ChildProcess::Handle::Later);
        if (process_) {
            process_->signal(stop_writing_signal);
            old_.push_back(process_->pid());
        }
        process_ = std::move(next);
        outdated_ = failed_ = false;
        started_ = now;
    } catch (const std::exception& error) {
        respawn_ = after_failed_fork(respawn_, now);
        if (!std::exchange(failed_, true))
            log(LogLevel::Error, "cannot start the log writer; retrying, and lines of workers wait: {cause}",
                {{"cause", with_remedy(error)}});
    }
    (void)::madvise(losses_, sizeof(Losses), MADV_DONTFORK);
}

/// Keeps the pipe and the log alone, and standard error, where it may have to say that the log's disk is full.
int LogWriter::write_lines() const {
    name_process("-log", "log writer");
    leave_terminal();
    discard_standard_output();
    std::array kept{pipe_.reader.get(), log_fd()};
    close_all_descriptors_except(kept);
    count_dropped_lines_in(losses_->dropped);
    keep_untold_lines_in(losses_->untold);
    write_log_of(pipe_.reader.get());
    return 0;
}

void LogWriter::maintain(bool old_workers, Clock::time_point now) noexcept {
    try {
        follow(now);
    } catch (const std::exception&) {  // the next worker tells, who needs it
        respawn_ = after_failed_fork(respawn_, now);
    }
    if (!wanted_ && !old_workers) pipe_.writer = {};
}

bool LogWriter::is_one(pid_t pid) const noexcept {
    return (process_ && process_->pid() == pid) || std::ranges::find(old_, pid) != old_.end();
}

bool LogWriter::reap(pid_t pid, Clock::time_point now) {
    if (std::erase(old_, pid) != 0) {
        (void)ChildProcess{pid, ChildProcess::Handle::Later}.try_reap();
        return true;
    }
    if (!process_ || process_->pid() != pid) return false;
    const auto report = process_->try_reap();
    if (!report) return true;
    process_.reset();
    if (!pipe_.writer) {  // that was the end of the pipe
        pipe_ = {};
        return true;
    }
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
    respawn_ = after_death(respawn_, {.age = age, .at = now});
    log(LogLevel::Error,
        wanted_ ? "log writer (pid {writer_pid}) {end}: starting another; lines that it held are lost"
                : "log writer (pid {writer_pid}) {end}: workers that leave have no log any more",
        {{"end", preforkd::describe(*report)}, {"writer_pid", std::int64_t{pid}}});
    return true;
}

void LogWriter::finish() {
    pipe_.writer = {};
    if (!process_ && pipe_.reader && wanted_) start(Clock::now());
    if (!process_) return;
    try {
        process_->open_handle();
    } catch (const std::system_error&) { return; }
    const bool held = is_held_by_others(pipe_.reader.get());
    ::pollfd end{.fd = process_->pidfd(), .events = POLLIN, .revents = 0};
    if (::poll(&end, 1, held ? patience_with_others_ms : patience_at_the_end_ms) == 1)
        (void)process_->try_reap();
    else if (!held)
        log(LogLevel::Warning,
            "log writer (pid {writer_pid}) has not written all lines of workers yet: it goes on, and then ends",
            {{"writer_pid", std::int64_t{process_->pid()}}});
}

HandedLog LogWriter::describe() const {
    HandedLog handed{.reader = pipe_.reader.get(), .writer = pipe_.writer.get(), .processes = old_};
    if (process_) handed.processes.push_back(process_->pid());
    return handed;
}

void LogWriter::adopt(const HandedLog& handed) {
    pipe_ = {.reader = UniqueFd{handed.reader}, .writer = UniqueFd{handed.writer}};
    if (pipe_.writer) keep_readers_out(pipe_.writer.get());  // an older image may have made it
    old_ = handed.processes;
    wanted_ = log_is_file();  // which follow() finds out later: one may end before that
    if (old_.empty()) return;
    process_.emplace(old_.back(), ChildProcess::Handle::Later);
    old_.pop_back();
}

}  // namespace preforkd
