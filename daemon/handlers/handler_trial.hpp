#pragma once
// Finding out, without loading it into the master, what a shared object serves and whether it works.
#include <optional>
#include <string>
#include <vector>

#include "common/child_process.hpp"
#include "common/clock.hpp"
#include "common/identity.hpp"
#include "common/option_origin.hpp"
#include "common/settings.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// Where the settings name a shared object.
struct NamedObject {
    std::string name{};
    Origin origin{};
    std::string option{};
};

/// A throw-away child that loads a shared object as a worker would (its user, its directory), makes its
/// instances, tells of them and leaves, within --boot-timeout.
class HandlerTrial {
public:
    /// Begins.  Throws when there can be no child.
    HandlerTrial(NamedObject object, const Settings& settings, const Identity& identity);

    /// Collects the child if it has ended; false if `pid` is not it.
    bool reap(pid_t pid);
    /// Kills the child if its time is up; its end is heard later.
    void mind_the_time(Clock::time_point now);
    void kill();
    [[nodiscard]] bool over() const noexcept { return end_.has_value(); }
    [[nodiscard]] Deadline deadline() const noexcept { return over() || killed_ ? Deadline{} : deadline_; }

    /// Waits until it is over: at start-up.
    void wait();

    /// Once it is over: an entry whose functions load the object, in the process that calls them: a worker.  Throws
    /// OperatorError: 78 and one sentence that names the option when the object cannot be loaded, is for another
    /// version, or its constructor throws, crashes or takes too long.
    [[nodiscard]] HandlerEntry entry() const;

private:
    [[nodiscard]] std::string report() const;

    NamedObject object_;
    std::string path_;
    std::chrono::milliseconds patience_;
    Deadline deadline_;
    UniqueFd reading_{};
    std::optional<ChildProcess> child_{};
    bool killed_ = false;
    std::optional<ExitReport> end_{};
};

/// Begins a trial of each shared object that `settings` name as a handler and `known` does not have.
[[nodiscard]] std::vector<HandlerTrial> begin_trials(const Handlers& known, const Settings& settings,
                                                     const Origins& origins);

}  // namespace preforkd
