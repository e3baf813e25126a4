#pragma once
#include <functional>
#include <string>
#include <vector>

#include "common/systemd/systemd_notify.hpp"
#include "daemon/master/pool/pool.hpp"
#include "daemon/master/reload/loading.hpp"
#include "daemon/master/reload/reload_policy.hpp"

namespace preforkd {

/// How a reload ended, for the one that asked for it.
struct ReloadOutcome {
    bool done = false;
    std::string sentence{};  ///< what was done, or why everything is as it was
};

/// Takes the pool from one generation to the next: new settings, new workers, and the old ones leave when the new ones
/// serve.  What fails before that changes nothing.  The decisions are reload_policy.hpp's.
class Reloader {
public:
    using Answer = std::function<void(const ReloadOutcome&)>;

    /// `pool` and `systemd` must outlive it.
    Reloader(Pool& pool, SystemdNotify& systemd, BeginLoading load);

    /// HUP.  `answer` is called once the outcome is known; a stop is one too.  `force`: where too many workers are
    /// leaving, the oldest are ended, instead of waited for or in the way.
    void ask(bool force, Clock::time_point now, Answer answer = {});
    /// The same where it is what an upgrade comes to, and counts as one.
    void prove(Clock::time_point now, Answer answer);

    /// A generation with the settings in force, which binds again what has lost its file; whatever the file of the
    /// settings says by now, nobody has asked for that.
    void bind_again(Clock::time_point now) { feed(ReloadAsked{}, now); }

    /// Looks what has come true.  `running`: the first generation is ready, and nothing stops the service.
    void offer_conditions(bool running, Clock::time_point now);
    [[nodiscard]] Deadline deadline() const {
        const Deadline own = earlier(life_.deadline, earlier(next_look_, next_queue_look_));
        return loading_ ? earlier(own, loading_->deadline()) : own;
    }

    /// Collects what the loading had started, if `pid` is such a child.
    bool reap(pid_t pid) { return loading_ && loading_->reap(pid); }

    /// The service stops: no generation follows.
    void stop(Clock::time_point now);

    [[nodiscard]] int last_number() const noexcept { return last_number_; }
    /// Numbers that the image before has given are not given again.
    void count_from(int last_number) noexcept { last_number_ = last_number; }

    /// What STATUS= says: the pool, and before it why the settings that were asked for last are not in force.
    [[nodiscard]] std::string status() const;

    /// That reason alone.
    [[nodiscard]] const std::string& failure() const noexcept { return refusal_; }

    [[nodiscard]] bool busy() const noexcept { return life_.phase != ReloadPhase::Idle; }

private:
    void feed(const ReloadEvent& event, Clock::time_point now);
    void perform(ReloadAction action, Clock::time_point now);
    void look_for_slots(Clock::time_point now);
    void answer_from_now_on();
    void load(Clock::time_point now);
    void refuse_full(Clock::time_point now);
    void go_on(Clock::time_point now);
    [[nodiscard]] bool is_for_copies(const Generation& next) const;
    void tell_copies(Clock::time_point now);
    void boot(Generation next, Clock::time_point now);
    void give_up();
    void commit(Clock::time_point now);
    void abandon(Clock::time_point now);
    void look_who_accepts(Clock::time_point now);
    void finish(const ReloadOutcome& outcome);

    Pool& pool_;
    SystemdNotify& systemd_;
    BeginLoading load_;
    std::unique_ptr<Loading> loading_{};
    Reload life_{};
    Deadline next_look_{};  ///< for slots, which time may free
    int last_number_;
    bool stopping_ = false;
    Deadline next_queue_look_{};     ///< whether old generations take nobody new any more
    std::string reloaded_to_{};      ///< what there is to tell when that is so
    std::string refusal_{};          ///< why the last HUP changed nothing; empty: it worked
    bool proves_ = false;            ///< it is an upgrade's
    bool reads_settings_ = false;    ///< the reload that goes on does, unlike bind_again()
    bool read_settings_ = false;     ///< what is asked for; without, those of the current generation are kept
    std::vector<Answer> asked_{};    ///< since the last settings were read
    std::vector<Answer> waiting_{};  ///< for the outcome of the generation that loads or boots
};

}  // namespace preforkd
