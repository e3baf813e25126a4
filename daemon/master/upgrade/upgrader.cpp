#include "daemon/master/upgrade/upgrader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/control/rehearsal_verdict.hpp"
#include "common/process/spawn.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

/// `/usr/sbin/preforkd: Exec format error: install one that was built for this machine`
std::string why_not_executed(const std::string& executable, int error) {
    if (executable.empty()) return "where this program stands is not known without /proc: mount it, and restart";
    std::error_code ignored;
    if (std::filesystem::is_directory(executable, ignored))
        return fmt::format("{} is a directory: install the new version in its place", executable);
    const auto remedy = [error]() -> std::string_view {
        switch (error) {
            case ENOENT: return ": install the new version there, or restart from where it is";
            case EACCES: return ": let this user execute it (chmod +x)";
            case ENOEXEC: return ": install one that was built for this machine";
            default: return shortage_remedy(error);
        }
    };
    return fmt::format("{}: {}{}", executable, std::strerror(error), remedy());
}

}  // namespace

void Upgrader::ask(Answer answer) {
    if (stopping_) {
        log(LogLevel::Notice, "no upgrade: the service is stopping");
        if (answer) answer({.done = false, .sentence = "the service is stopping"});
        return;
    }
    if (answer) asked_.push_back(std::move(answer));
    if (!busy()) log(LogLevel::Notice, "upgrading to {executable}", {{"executable", launch_.executable}});
    if (!busy() && rehearses())
        log(LogLevel::Notice, "the upgrade waits until the rehearsal before it has ended (pid {keeper_pid})",
            {{"keeper_pid", std::int64_t{keeper_->pid()}}});
    feed(UpgradeAsked{});
}

void Upgrader::offer_conditions(bool rests, std::chrono::milliseconds boot_timeout, Clock::time_point now) {
    if (has_passed(life_.deadline, now)) feed(RehearsalLate{});
    if (keeper_) keeper_->maintain(now);
    // One that was given up may take a moment to be gone.
    if (rests && !rehearses()) feed(PoolRests{.rehearsal_ends = deadline_after(now, boot_timeout)});
}

void Upgrader::stop() {
    stopping_ = true;
    if (busy()) cause_ = "the service is stopping";
    feed(UpgradeStops{});
}

void Upgrader::feed(const UpgradeEvent& event) {
    auto [next, actions] = step(life_, event);
    life_ = next;
    for (const UpgradeAction action : actions) perform(action);
}

void Upgrader::perform(UpgradeAction action) {
    switch (action) {
        case UpgradeAction::Rehearse: return rehearse();
        case UpgradeAction::KillRehearsal:
            if (cause_.empty()) cause_ = "the rehearsal of the new image did not end within --boot-timeout";
            return keeper_->end(Clock::now());  // reap() hears of it
        case UpgradeAction::Execute: return execute();
        case UpgradeAction::Refuse: return refuse();
    }
}

void Upgrader::rehearse() {
    cause_.clear();
    try {
        std::array<int, 2> ends{};
        check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "open a pipe for the rehearsal");
        verdict_ = UniqueFd{ends[0]};
        const UniqueFd report{ends[1]};
        // Its descriptors stay open over the exec, or the new image would not have them.  preforkd closes them to
        // whatever it starts in turn (take_handover()); an image that is something else does not, and its children
        // hold the listeners for as long as they live.  Therefore none of them outlives the rehearsal.
        keeper_.emplace(spawn([&, master = ::getpid()] {
            return keep_rehearsal(master, report.get(), [&] {
                Handover copy = describe_();
                copy.purpose = Handover::Purpose::Rehearsal;
                copy.report = report.get();
                copy.workers_to_come = copy.workers_alive.size();
                copy.workers_alive.clear();  // the copy is nobody's master
                copy.control.waiting.clear();
                copy.control.peers.clear();
                const int error = become(-1, launch_, copy);
                write_verdict(report.get(), why_not_executed(launch_.executable, error));
                return 1;
            });
        }));
    } catch (const std::exception& error) {
        cause_ = with_remedy(error);
        feed(RehearsalFailed{});
    }
}

bool Upgrader::reap(pid_t pid) {
    if (!keeper_ || keeper_->pid() != pid) return false;
    const auto report = keeper_->try_reap();
    if (!report) return true;
    keeper_.reset();
    const std::string verdict = read_verdict(verdict_.get());
    verdict_ = {};
    if (life_.phase != UpgradePhase::Rehearsing) return true;  // it was given up
    takes_peers_ = verdict == verdict_passed_with_peers;
    if (verdict == verdict_passed || takes_peers_) {
        log(LogLevel::Info, "the new image has passed its rehearsal");
        feed(RehearsalPassed{});
        return true;
    }
    if (cause_.empty()) cause_ = verdict.empty() ? without_verdict(*report) : verdict;
    feed(RehearsalFailed{});
    return true;
}

void Upgrader::kill_rehearsal() {
    if (keeper_) keeper_->kill();
}

void Upgrader::execute() {
    Handover handover = describe_();
    handover.purpose = Handover::Purpose::Upgrade;
    if (!takes_peers_) handover.control.peers.clear();
    try {
        const UniqueFd self = open_own_image();
        handover.old_image = self.get();
        cause_ = why_not_executed(launch_.executable, become(-1, launch_, handover));
    } catch (const std::exception& error) { cause_ = with_remedy(error); }
    feed(ExecFailed{});
}

void Upgrader::refuse() {
    log(stopping_ ? LogLevel::Notice : LogLevel::Error, "upgrade failed, nothing has changed: {cause}",
        {{"cause", cause_}});
    for (const Answer& answer : std::exchange(asked_, {})) answer({.done = false, .sentence = cause_});
}

}  // namespace preforkd
