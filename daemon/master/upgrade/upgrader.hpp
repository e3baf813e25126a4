#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/master/reload/reloader.hpp"
#include "daemon/master/upgrade/image.hpp"
#include "daemon/master/upgrade/keeper.hpp"
#include "daemon/master/upgrade/upgrade_policy.hpp"

namespace preforkd {

/// Puts the image on disk into this process's place, once a child has shown that it can carry on.  What fails before
/// the exec changes nothing.  The decisions are upgrade_policy.hpp's.
class Upgrader {
public:
    /// What the next image needs to know; its descriptors stay this process's.
    using Describe = std::function<Handover()>;
    using Answer = Reloader::Answer;

    /// `launch` must outlive it.
    Upgrader(const Launch& launch, Describe describe) : launch_{launch}, describe_{std::move(describe)} {}

    /// USR2.  `answer` is called when nothing will come of it; otherwise the next image answers.
    void ask(Answer answer = {});

    /// `rests`: the pool is ready, nothing is under way, and there is space for another generation.
    void offer_conditions(bool rests, std::chrono::milliseconds boot_timeout, Clock::time_point now);
    [[nodiscard]] Deadline deadline() const noexcept {
        return keeper_ ? earlier(life_.deadline, keeper_->deadline()) : life_.deadline;
    }

    /// Collects the rehearsal, if `pid` is it.
    bool reap(pid_t pid);

    /// The service stops: what a rehearsal has started is ended first.
    void stop();
    void kill_rehearsal();  ///< at once, whoever may be left of it

    /// Whether anything of a rehearsal is left, also of one that was given up.
    [[nodiscard]] bool rehearses() const noexcept { return keeper_.has_value(); }
    [[nodiscard]] bool busy() const noexcept { return life_.phase != UpgradePhase::Idle; }

private:
    void feed(const UpgradeEvent& event);
    void perform(UpgradeAction action);
    void rehearse();
    void execute();
    void refuse();

    const Launch& launch_;
    Describe describe_;
    Upgrade life_{};
    std::optional<Keeper> keeper_{};  ///< of the rehearsal; ends as soon as nothing is left of it
    UniqueFd verdict_{};
    bool takes_peers_ = false;  ///< the image that has passed its rehearsal
    std::string cause_{};       ///< why it fails
    bool stopping_ = false;
    std::vector<Answer> asked_{};
};

}  // namespace preforkd
