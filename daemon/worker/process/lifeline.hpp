#pragma once
// What a worker hears of although a handler never gives its thread back to the loop.
#include <pthread.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/log/standard_output.hpp"
#include "common/process/signal_fd.hpp"

namespace preforkd {

/// A thread that only waits: for the end of the master, for the signals that stop where there is no master, for what
/// handlers print, and for the last deadline, at which it ends the process.  A thread and not a signal handler, because
/// a signal cuts a handler's sleep(), poll() and select() short.
///
/// It takes no signal, allocates nothing, and holds no lock that a handler's code could hold, so it goes on whatever
/// that does, also in a child's fork().  Until start() it is not there: where no handler runs in this process its loop
/// hears of all this itself, and a process with one thread forks for less (6 page faults and glibc's locks).
class Lifeline {
public:
    /// Who ends when the time is over.
    enum class Ends {
        Group,  ///< a worker: it, and whatever its handlers have started in its process group
        Alone,  ///< the process that is the worker: its group is the shell's job
    };
    enum class Stop { Graceful, Fast };

    struct Duties {
        WorkerRecord& record;
        Ends ends = Ends::Group;
        std::chrono::milliseconds stop_timeout{};  ///< for what runs when the stop begins; zero: for ever
        int channel = -1;                          ///< whose end is the master's; borrowed
        PrintedLines* printed = nullptr;           ///< what handlers print
        bool takes_stop_signals = false;           ///< TERM, QUIT, INT, also those that it was started to ignore
    };

    explicit Lifeline(const Duties& duties);
    ~Lifeline();  ///< logs what was printed last
    Lifeline(const Lifeline&) = delete;
    Lifeline& operator=(const Lifeline&) = delete;

    /// Throws std::system_error where there is no thread to be had.
    void start();

    /// While it lives and the master does, `listener` is left alone.  Once the master has gone the process is off it at
    /// once, so that a new master's workers get every client: the number stands for a dead descriptor then, and for no
    /// other file before this object has gone.
    class Listener {
    public:
        /// `reactor`: the epoll set in which it may be; both borrowed.
        Listener(Lifeline& lifeline, int listener, int reactor);
        ~Listener();
        Listener(const Listener&) = delete;
        Listener& operator=(const Listener&) = delete;

    private:
        Lifeline& lifeline_;
        int fd_;
    };

    /// Readable when there may be something to take.  Empty where it takes no signals.
    [[nodiscard]] std::vector<int> stop_fds() const;

    /// What the loop has to read, because no thread does; nullptr: nothing.
    [[nodiscard]] PrintedLines* unread() const noexcept { return thread_ ? nullptr : duties_.printed; }

    /// What was asked for since the last time; the faster, if both were.  The first TERM or QUIT gives what runs
    /// `stop_timeout`, another one or INT 2 s.
    [[nodiscard]] std::optional<Stop> take_stop();

    /// The process ends in `time` at the latest, unless that was said before with less.  Zero: never.
    void arm(std::chrono::milliseconds time) noexcept;

    /// The loop has heard of it and keeps the time itself: from now on `time`, if it is armed at all.
    void postpone(std::chrono::milliseconds time) noexcept;

    /// Behind the last client: while it lives, the process ends in `time` at the latest, and says so.  One at a time.
    class TaskLimit {
    public:
        TaskLimit(Lifeline& lifeline, std::chrono::milliseconds time) noexcept;
        ~TaskLimit();
        TaskLimit(const TaskLimit&) = delete;
        TaskLimit& operator=(const TaskLimit&) = delete;

    private:
        Lifeline& lifeline_;
    };

    /// How long it is until then, at least a millisecond; `otherwise` if it is not armed.
    [[nodiscard]] std::chrono::milliseconds left(std::chrono::milliseconds otherwise) const noexcept;

private:
    struct Covered {
        int fd = -1;
        int reactor = -1;
    };

    static void* run(void* self) noexcept;
    void watch() noexcept;
    [[nodiscard]] int milliseconds_left() const noexcept;
    void hear_signals();
    void log_printed() noexcept;
    void lose_master() noexcept;
    void arm_locked(std::chrono::milliseconds time) noexcept;
    void ring(const UniqueFd& event) const noexcept;
    [[noreturn]] void end_process() const noexcept;
    [[noreturn]] void end_without_tasks() const noexcept;

    Duties duties_;
    UniqueFd wakeup_{};  ///< for the thread
    UniqueFd dead_{};    ///< what takes the place of a listener
    std::optional<SignalFd> signals_{};
    UniqueFd stop_event_{};  ///< for the loop
    std::optional<pthread_t> thread_{};
    Deadline unfinished_until_{};  ///< the thread's: a line's end is waited for

    mutable std::mutex mutex_{};  ///< for what follows
    std::vector<Covered> listeners_{};
    Deadline deadline_{};
    Deadline task_limit_{};
    std::optional<Stop> asked_{};
    bool stopping_ = false;
    bool orphaned_ = false;
    bool leaving_ = false;
};

}  // namespace preforkd
