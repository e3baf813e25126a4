#pragma once
// The life of one copy of a program that accepts by itself: --run pool.
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/worker_handoff.hpp"
#include "common/process/child_process.hpp"
#include "common/process/signal_fd.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/process/worker_control.hpp"
#include "daemon/worker/process/worker_plan.hpp"
#include "daemon/worker/program/copy_memory.hpp"
#include "daemon/worker/program/copy_news.hpp"
#include "daemon/worker/program/stderr_lines.hpp"
#include "daemon/worker/program/stderr_rate.hpp"

namespace preforkd {

/// Starts the copy, says when it is ready, ends it when it is told to, and ends as it ended.
///
/// This process is the worker that the master knows, so that all which holds for workers holds for copies, and it is
/// the one that outlives a killed master long enough to end the copy.  It is the subreaper of what the copy starts, so
/// it hears of the last of its process group although a wrapper has gone.
///
///   stage \ event  ready    told to leave        deadline  the copy has ended         and nobody is left in its group
///   Starting       Serving  Leaving, stop signal -         Ending, TERM to the group  end, having said why
///   Serving        -        Leaving, stop signal -         Ending, TERM to the group  end
///   Leaving        -        * less time          KILL      the group gets the signal  end
///   Ending         -        -                    KILL      -                          end
///
/// * a stop may come while a reload leaves it more time than that.
class ProgramCopy final : public WorkerActions {
public:
    ProgramCopy(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, Reactor& reactor);
    ~ProgramCopy() override;
    ProgramCopy(const ProgramCopy&) = delete;
    ProgramCopy& operator=(const ProgramCopy&) = delete;

    /// `ready` is called once it is.  Returns this process's exit code; where the copy was killed by a signal, this
    /// process dies of the same.  Throws std::system_error when it cannot be started.
    [[nodiscard]] int run(std::function<void()> ready);

    void look() override;
    void drain(const ClosingListeners& closing, FinishTime within) override;
    void hurry() override;
    void retire() override;

private:
    enum class Stage { Starting, Serving, Leaving, Ending };

    void start();
    void hear_control();
    void become_ready();
    void expect_watchdog();
    void take_news(const CopyNotification& said);
    void follow(pid_t main);
    void extend(std::chrono::milliseconds time);
    void kill_at(std::chrono::milliseconds from_now);
    void read_signals();
    void reap();
    void note_end();
    void kill_group();
    void signal_leader(int signo) const;
    void signal_groups(int signo) const;
    [[nodiscard]] bool groups_are_empty() const;
    void log_line(std::string_view line);
    [[nodiscard]] bool has_left_as_told() const;
    [[nodiscard]] std::string why_it_ended() const;
    [[nodiscard]] int end();

    const WorkerPlan& plan_;
    WorkerHandoff& handoff_;
    WorkerControl& control_;
    Reactor& reactor_;
    std::string name_;  ///< of the program, without its folder
    SignalFd signals_;
    StderrRate output_rate_;
    std::optional<StderrLines> output_{};
    std::unique_ptr<Timer> deadline_;
    std::unique_ptr<Timer> watchdog_notice_;
    Deadline kill_at_{};
    std::string_view time_limit_ = "--stop-timeout";  ///< the option that `kill_at_` follows from
    CopyNews news_;
    CopyMemory memory_;
    std::function<void()> ready_{};
    pid_t leader_ = 0;             ///< its own process, or which of those below it has said MAINPID=; 0: not started
    UniqueFd leader_end_{};        ///< of one that is not our child: its pidfd
    std::vector<pid_t> groups_{};  ///< which they lead, or are in
    std::optional<ExitReport> ended_{};
    Stage stage_ = Stage::Starting;
    bool hurried_ = false;  ///< it was told that time is up
    bool was_ready_ = false;
    bool killed_ = false;          ///< by us, at a deadline
    bool is_watched_ = false;      ///< it has said WATCHDOG=1
    bool address_in_use_ = false;  ///< it has said so
    std::string last_line_{};
};

}  // namespace preforkd
