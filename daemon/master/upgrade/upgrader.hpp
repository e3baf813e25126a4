#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/epoll_set.hpp"
#include "common/process/child_process.hpp"
#include "daemon/master/reload/reloader.hpp"
#include "daemon/master/reload/shutdown_watch.hpp"
#include "daemon/master/upgrade/image.hpp"
#include "daemon/master/upgrade/upgrade_policy.hpp"

namespace preforkd {

inline constexpr std::uint64_t rehearsal_key = shutdown_key + 1;

/// Puts the image on disk into this process's place, once a child has shown that it can carry on.  What fails before
/// the exec changes nothing.  The decisions are upgrade_policy.hpp's.
class Upgrader {
public:
    /// What the next image needs to know; its descriptors stay this process's.
    using Describe = std::function<Handover()>;
    using Answer = Reloader::Answer;

    /// `launch` and `events` must outlive it.  `failed` is called when an upgrade has failed before the exec.
    Upgrader(const Launch& launch, EpollSet& events, Describe describe, std::function<void()> failed)
        : launch_{launch}, events_{events}, describe_{std::move(describe)}, failed_{std::move(failed)} {}

    /// USR2.  `answer` is called when nothing will come of it; otherwise the next image answers.
    void ask(Answer answer = {});

    /// `rests`: the pool is ready, nothing is under way, and there is space for another generation.
    void offer_conditions(bool rests, std::chrono::milliseconds boot_timeout, Clock::time_point now);
    /// There is none, for long; why.
    void lack_slots(const std::string& cause);
    [[nodiscard]] Deadline deadline() const noexcept { return life_.deadline; }

    /// A packet of the rehearsal's, as rehearsal_key tells; whether there may be another.
    bool hear();
    /// Collects the rehearsal, if `pid` is it.
    bool reap(pid_t pid);
    [[nodiscard]] pid_t rehearsal() const noexcept { return child_ ? child_->pid() : 0; }

    void stop();  ///< the service stops, and a rehearsal with it

    [[nodiscard]] bool busy() const noexcept { return life_.phase != UpgradePhase::Idle; }

private:
    void feed(const UpgradeEvent& event);
    void perform(UpgradeAction action);
    void rehearse();
    void answer_hello(FormatRange formats);
    void conclude(std::string verdict);
    void kill_rehearsal();  ///< and whatever it has started
    void close_channel();
    void forget_rehearsal();
    void execute();
    void refuse();

    const Launch& launch_;
    EpollSet& events_;
    Describe describe_;
    std::function<void()> failed_;
    Upgrade life_{};
    std::optional<ChildProcess> child_{};  ///< while it rehearses
    UniqueFd channel_{};
    std::optional<int> format_{};  ///< of the handover, since the new image has said hello
    std::string verdict_{};        ///< the new image's
    std::string cause_{};          ///< why the upgrade fails
    bool stopping_ = false;
    std::vector<Answer> asked_{};
};

}  // namespace preforkd
