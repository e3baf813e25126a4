#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/epoll_set.hpp"
#include "common/process/child_process.hpp"
#include "daemon/master/control/control_server.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/respawn_policy.hpp"

namespace preforkd {

inline constexpr std::uint64_t observer_questions_key = control_key + 8;
inline constexpr std::uint64_t observer_answers_key = observer_questions_key + 1;

/// The process that answers those who look: forked for each generation that is to be observed, and replaced where it
/// dies or hangs.  It is told what there is to tell when it asks, a few times a second at most, and cannot order
/// anything.  It asks every two seconds at least: one that does not is looping, or held, and answers nobody either.
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
    void go_on_answering(Clock::time_point now);

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
    void dismiss(Clock::time_point now);
    void drop_pipes() noexcept;
    /// It has asked, or read.
    void note_life(Clock::time_point now) noexcept;
    void look_at_silence(Clock::time_point now);
    /// `reason`: in the line when it has ended.
    void kill_for(std::string_view reason);
    void answer(Clock::time_point now);

    /// One that is no longer needed.
    struct Leaving {
        ChildProcess process;
        Deadline until{};  ///< then it is killed; none: it was
    };

    EpollSet& events_;
    Snapshot snapshot_;
    std::function<void()> forget_secrets_;
    std::optional<ChildProcess> process_{};
    std::vector<Leaving> leaving_{};
    int generation_ = 0;    ///< that it was started for; 0: for none
    UniqueFd questions_{};  ///< to read
    UniqueFd answers_{};    ///< to write
    bool asked_ = false;    ///< and its questions are not heard until that is answered
    std::string unsent_{};  ///< of an answer
    bool details_ = false;
    Clock::time_point next_answer_{};
    Clock::time_point started_{};
    Deadline stopped_until_{};            ///< then it is killed
    std::chrono::milliseconds silent_{};  ///< for so long, as of the last look
    Clock::time_point last_look_{};
    std::string_view killed_for_{};  ///< empty: by somebody else
    Respawn respawn_{};
    bool failed_ = false;  ///< none could be had the last time
};

}  // namespace preforkd
