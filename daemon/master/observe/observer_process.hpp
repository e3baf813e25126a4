#pragma once
#include <functional>
#include <optional>
#include <string>

#include "common/base/epoll_set.hpp"
#include "common/process/child_process.hpp"
#include "daemon/master/control/control_server.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/respawn_policy.hpp"

namespace preforkd {

inline constexpr std::uint64_t observer_questions_key = control_key + 8;
inline constexpr std::uint64_t observer_answers_key = observer_questions_key + 1;

/// The process that answers those who look: forked for each generation that is to be observed, and replaced where it
/// dies.  It is told what there is to tell when it asks, a few times a second at most, and cannot order anything.
///
/// One that is no longer needed hears the end of its pipe, finishes whom it answers, and leaves: also the one of the
/// image before, when this one takes over.
class ObserverProcess {
public:
    /// One line; `details`: with peers and the texts of errors.
    using Snapshot = std::function<std::string(bool details)>;

    /// `forget_secrets`: what the child does first, who is none of those whom the master trusts with keys.
    ObserverProcess(EpollSet& events, Snapshot snapshot, std::function<void()> forget_secrets)
        : events_{events}, snapshot_{std::move(snapshot)}, forget_secrets_{std::move(forget_secrets)} {}

    /// Starts, replaces or dismisses it, as `current` needs it, and answers it when it is time.  Never throws: what
    /// cannot be had is tried for again.
    void maintain(const Generation& current, int log_pipe, Clock::time_point now) noexcept;
    [[nodiscard]] Deadline deadline() const noexcept;

    void hear_question(Clock::time_point now);
    void go_on_answering();

    /// The child `pid` was stopped by a signal, or goes on; false if it is not this one.  One that stays stopped, so
    /// that nobody who looks is answered, is killed and replaced.
    bool note_stop(pid_t pid, bool stopped, Clock::time_point now) noexcept;

    /// Collects the child `pid`, which has ended; false if it is not this one.
    bool reap(pid_t pid, Clock::time_point now);
    /// 0: there is none.
    [[nodiscard]] pid_t pid() const noexcept { return process_ ? process_->pid() : 0; }

    /// At the end: it has nobody to ask any more.
    void kill() noexcept;

private:
    void start(const Generation& current, int log_pipe, Clock::time_point now);
    void dismiss() noexcept;
    void drop_pipes() noexcept;
    void kill_stopped();
    void answer(Clock::time_point now);

    EpollSet& events_;
    Snapshot snapshot_;
    std::function<void()> forget_secrets_;
    std::optional<ChildProcess> process_{};
    int generation_ = 0;    ///< that it was started for; 0: for none
    UniqueFd questions_{};  ///< to read
    UniqueFd answers_{};    ///< to write
    bool asked_ = false;    ///< and its questions are not heard until that is answered
    std::string unsent_{};  ///< of an answer
    bool details_ = false;
    Clock::time_point next_answer_{};
    Clock::time_point started_{};
    Deadline stopped_until_{};  ///< then it is killed
    bool too_long_ = false;     ///< it was stopped
    Respawn respawn_{};
    bool failed_ = false;  ///< none could be had the last time
};

}  // namespace preforkd
