#include "daemon/master/upgrade/upgrader.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/process/child_process.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/spawn.hpp"
#include "daemon/master/pool/process_list.hpp"
#include "daemon/master/upgrade/rehearsal_channel.hpp"
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

/// The new image is loaded before it can raise the limit itself, and then there is no way back.  Its rehearsal held
/// fewer descriptors, and the limit may have been lowered since the daemon raised it.
void require_descriptors_for_loader() {
    constexpr std::size_t needed = 8;  // a library and a file of the loader's at a time, and some
    (void)raise_descriptor_limit();
    if (spare_descriptors(needed) < needed)
        throw std::system_error{EMFILE, std::generic_category(), "load the new image"};
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
    feed(UpgradeAsked{});
}

void Upgrader::offer_conditions(bool rests, std::chrono::milliseconds boot_timeout, Clock::time_point now) {
    if (has_passed(life_.deadline, now)) feed(RehearsalLate{});
    if (rests) feed(PoolRests{.rehearsal_ends = deadline_after(now, boot_timeout)});
}

void Upgrader::lack_slots(const std::string& cause) {
    if (step(life_, NoSlots{}).actions.empty()) return;
    cause_ = cause;
    feed(NoSlots{});
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
            kill_rehearsal();
            return forget_rehearsal();  // one that cannot be killed is not waited for
        case UpgradeAction::Execute: return execute();
        case UpgradeAction::Refuse: return refuse();
    }
}

void Upgrader::rehearse() {
    cause_.clear();
    verdict_.clear();
    format_.reset();
    try {
        RehearsalChannel channel = open_rehearsal_channel();
        channel_ = std::move(channel.master);
        events_.watch(channel_.get(), rehearsal_key);
        child_.emplace(spawn([&, master = ::getpid()] {
            ::setpgid(0, 0);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != master) return 1;          // it died before that could be a signal
            ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // or kill_rehearsal() would not find what has lost its parent
            sigset_t none;
            ::sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);  // an image may be a script, which shall hear signals
            const int error = become_rehearsal(launch_, channel.child.get());
            write_packet(channel.child.get(), why_not_executed(launch_.executable, error));
            return 1;
        }));
    } catch (const std::exception& error) {
        forget_rehearsal();
        cause_ = with_remedy(error);
        feed(RehearsalFailed{});
    }
}

bool Upgrader::hear() {
    const std::optional<std::string> packet = read_packet(channel_.get());
    if (!packet) return false;
    if (packet->empty()) {  // how it ends says more
        close_channel();
        return false;
    }
    const std::optional<FormatRange> formats = format_ ? std::nullopt : parse_hello(*packet);
    formats ? answer_hello(*formats) : conclude(*packet);
    return channel_.get() >= 0;
}

void Upgrader::answer_hello(FormatRange formats) {
    format_ = common_format(formats, known_formats);
    if (!format_)
        return conclude(
            fmt::format("the new image reads handovers of the formats {} to {}, and this version writes {} to {}: "
                        "upgrade to a version between the two first",
                        formats.oldest, formats.newest, known_formats.oldest, known_formats.newest));
    try {
        Handover copy = describe_();
        copy.purpose = Handover::Purpose::Rehearsal;
        copy.workers_to_come = copy.workers_alive.size();
        copy.workers_alive.clear();  // the copy is nobody's master
        copy.control.waiting.clear();
        copy.control.peers.clear();
        copy.log = {};
        copy.count_memory = -1;
        copy.counts.clear();
        restrict_to(*format_, copy);
        send_handover(channel_.get(), copy);
    } catch (const std::exception& error) { conclude(with_remedy(error)); }
}

/// What it has started loses its parent with it, and would not be found any more.
void Upgrader::conclude(std::string verdict) {
    verdict_ = std::move(verdict);
    kill_rehearsal();
    close_channel();
}

void Upgrader::kill_rehearsal() {
    const std::vector<ProcessEntry> started = list_descendants(child_->pid());
    child_->signal(SIGKILL);
    ::kill(-child_->pid(), SIGKILL);
    for (const ProcessEntry& each : started) ::kill(each.pid, SIGKILL);
}

void Upgrader::close_channel() {
    if (channel_) events_.remove(channel_.get());
    channel_ = {};
}

void Upgrader::forget_rehearsal() {
    close_channel();
    child_.reset();
}

bool Upgrader::reap(pid_t pid) {
    if (rehearsal() != pid) return false;
    while (channel_ && hear()) continue;  // what it has said before it ended
    ::kill(-pid, SIGKILL);                // until it is reaped its group's number cannot be anybody else's
    const auto report = child_->try_reap();
    if (!report) return true;
    forget_rehearsal();
    if (verdict_ == verdict_passed && format_) {
        log(LogLevel::Info, "the new image has passed its rehearsal");
        feed(RehearsalPassed{});
        return true;
    }
    cause_ = verdict_.empty() ? "the rehearsal of the new image " + describe(*report) +
                                    " without a verdict: install a preforkd that starts there"
                              : verdict_;
    feed(RehearsalFailed{});
    return true;
}

void Upgrader::execute() {
    Handover handover = describe_();
    handover.purpose = Handover::Purpose::Upgrade;
    restrict_to(*format_, handover);
    try {
        const UniqueFd self = open_own_image();
        handover.old_image = self.get();
        require_descriptors_for_loader();
        cause_ = why_not_executed(launch_.executable, become(-1, launch_, handover));
    } catch (const std::exception& error) { cause_ = with_remedy(error); }
    feed(ExecFailed{});
}

void Upgrader::refuse() {
    if (!stopping_) failed_();
    log(stopping_ ? LogLevel::Notice : LogLevel::Error, "upgrade failed, nothing has changed: {cause}",
        {{"cause", cause_}});
    for (const Answer& answer : std::exchange(asked_, {})) answer({.done = false, .sentence = cause_});
}

}  // namespace preforkd
