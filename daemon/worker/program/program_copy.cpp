#include "daemon/worker/program/program_copy.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/channel/channel.hpp"
#include "common/channel/stopping.hpp"
#include "common/process/recycle_policy.hpp"
#include "daemon/worker/program/copy_launch.hpp"
#include "daemon/worker/program/copy_passing.hpp"
#include "daemon/worker/program/program_environment.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_after_term = 2s;                   // as for what other workers leave behind
constexpr auto patience_when_hurried = fast_stop - 500ms;  // before the master kills this process
constexpr int killed_by = 128;                             // what a shell adds to the signal that has ended its command

std::string name_of(const std::string& file) { return printable(file.substr(file.rfind('/') + 1)); }

std::vector<std::string> environment_with(std::vector<std::string> own, const ProcessChange* change) {
    std::vector<std::string> all;
    for (char** variable = environ; *variable != nullptr; ++variable)
        if (is_passed_on(*variable)) all.emplace_back(*variable);
    if (change != nullptr) all = change->environment(std::move(all));
    std::ranges::move(own, std::back_inserter(all));
    return all;
}

ExitReport report_of(const siginfo_t& info) {
    using enum ExitReport::Kind;
    return {info.si_code == CLD_EXITED ? Exited : info.si_code == CLD_DUMPED ? Dumped : Killed, info.si_status};
}

/// A worker that hangs is told to die by ABRT, which is then for its copy.
volatile pid_t aborted_with_us = 0;
void abort_leader(int) {
    const int kept = errno;
    ::kill(aborted_with_us, SIGABRT);
    errno = kept;
}

bool says_address_in_use(std::string_view line) {
    return line.find("ddress already in use") != line.npos || line.find("EADDRINUSE") != line.npos;
}

}  // namespace

ProgramCopy::ProgramCopy(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, Reactor& reactor)
    : plan_{plan},
      handoff_{handoff},
      control_{control},
      reactor_{reactor},
      name_{name_of(plan.settings.program.front())},
      signals_{SIGCHLD, SIGHUP},
      output_rate_{reactor, plan.settings.stderr_rate},
      deadline_{reactor.make_timer()},
      watchdog_notice_{reactor.make_timer()},
      news_{reactor,
            plan.settings,
            {.ready = [this] { become_ready(); }, .said = [this](const CopyNotification& said) { take_news(said); }}},
      memory_{reactor,
              {.program = name_,
               .limit_bytes = bytes_before_retiring(plan.settings.max_memory_bytes, handoff.number),
               .too_large = [this] {
                   handoff_.record.retirement.store(RetirementReason::MaxMemory, std::memory_order_relaxed);
                   retire();
               }}} {
    ::signal(SIGHUP, SIG_DFL);  // what is ignored is not read either
}

ProgramCopy::~ProgramCopy() {
    reactor_.forget(signals_.get());
    if (leader_end_) reactor_.forget(leader_end_.get());
    for (const int fd : control_.signal_fds()) reactor_.forget(fd);
    reactor_.forget(control_.orders_fd());
}

int ProgramCopy::run(std::function<void()> ready) {
    ready_ = std::move(ready);
    check(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "take in what a program leaves behind");
    hear_control();
    start();
    reactor_.run();
    return end();
}

void ProgramCopy::hear_control() {
    for (const int fd : control_.signal_fds()) reactor_.watch(fd, [this] { control_.read_signals(*this); });
    reactor_.watch(control_.orders_fd(), [this] {
        if (!control_.read_orders(*this)) reactor_.forget(control_.orders_fd());
    });
    reactor_.watch(signals_.get(), [this] { read_signals(); });
}

void ProgramCopy::start() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe for a program's output");
    UniqueFd reader{ends[0]};
    const UniqueFd writer{ends[1]};
    check(::fcntl(reader.get(), F_SETFL, O_NONBLOCK), "make a pipe non-blocking");
    const Settings& settings = plan_.settings;
    const std::vector<CopySocket> sockets = copy_sockets_of(plan_, handoff_.slot);
    std::vector<int> descriptors;
    for (const Listener* listener : listeners_of_copy(plan_, handoff_.slot)) descriptors.push_back(listener->fd.get());
    std::vector<std::string> told =
        variables_of(settings.pass, sockets, {.pid = ::getpid(), .generation = handoff_.generation});
    std::ranges::move(news_.variables(), std::back_inserter(told));
    output_.emplace(reactor_, std::move(reader), [this](std::string_view line) { log_line(line); });
    // Listeners of copies say all the same.
    const ProcessChange* const change = change_for(plan_.settings.listen.front().run_as, plan_.process_changes);
    leader_ = start_copy({.file = plan_.program_files.at(settings.program.front()),
                          .arguments = with_descriptors(settings.program, sockets),
                          .environment = environment_with(std::move(told), change),
                          .sockets = descriptors,
                          .pass = settings.pass,
                          .output = writer.get(),
                          .ready = news_.for_the_copy(),
                          .ready_place = settings.ready.fd,
                          .stop_signal = settings.stop_signal,
                          .descriptor_limit = plan_.original_descriptor_limit,
                          .change = change,
                          .sandbox = *plan_.sandbox})
                  .pid();
    groups_.push_back(leader_);
    // What a copy closes shall be closed.
    for (Listener& listener : plan_.listeners) listener.fd = {};
    handoff_.record.program_pid.store(static_cast<std::uint32_t>(leader_), std::memory_order_relaxed);
    aborted_with_us = leader_;
    ::signal(SIGABRT, abort_leader);
    log(LogLevel::Debug, "{program} started as pid {child_pid}",
        {{"program", name_}, {"child_pid", std::int64_t{leader_}}});
    news_.begin();
}

void ProgramCopy::become_ready() {
    if (stage_ != Stage::Starting || ended_) return;
    stage_ = Stage::Serving;
    was_ready_ = true;
    enter(handoff_.record, is_watched_ ? WorkerState::InHandler : WorkerState::Idle);
    ready_();
    expect_watchdog();
    memory_.begin();
}

/// Said by one for all of them.
void ProgramCopy::expect_watchdog() {
    const Settings& settings = plan_.settings;
    if (settings.ready.kind != ReadyCheck::Kind::Notify || settings.worker_timeout == 0ms || handoff_.number != 1)
        return;
    watchdog_notice_->set(settings.worker_timeout, [this] {
        if (!is_watched_ && stage_ == Stage::Serving)
            log(LogLevel::Notice, "{program} does not say WATCHDOG=1: --worker-timeout does not hold for it",
                {{"program", name_}});
    });
}

void ProgramCopy::take_news(const CopyNotification& said) {
    if (said.status) handoff_.record.program_status.write(*said.status);
    if (said.main_pid) follow(*said.main_pid);
    if (said.stopping && stage_ == Stage::Serving && !ended_) retire();
    if (said.extend) extend(*said.extend);
    if (said.hangs && stage_ == Stage::Serving) {
        log(LogLevel::Error, "{program} (pid {child_pid}) says that it hangs: aborting it",
            {{"program", name_}, {"child_pid", std::int64_t{leader_}}});
        signal_leader(SIGABRT);
    }
    // From its first word on: one that has never said any is not watched.
    if (!said.alive || plan_.settings.worker_timeout == 0ms) return;
    is_watched_ = true;
    if (stage_ == Stage::Serving) enter(handoff_.record, WorkerState::InHandler);
}

/// The process that counts from now on.  A wrapper may wait for it, and so reap it in our stead.
void ProgramCopy::follow(pid_t main) {
    if (main == leader_ || ended_ || !is_below_us(main)) return;
    UniqueFd end{::pidfd_open(main, 0)};
    const pid_t group = ::getpgid(main);
    if (!end || group <= 1 || group == ::getpgrp()) return;
    if (leader_end_) reactor_.forget(leader_end_.get());
    leader_end_ = std::move(end);
    reactor_.watch(leader_end_.get(), [this] { reap(); });
    leader_ = main;
    aborted_with_us = main;
    if (std::ranges::find(groups_, group) == groups_.end()) groups_.push_back(group);
    handoff_.record.program_pid.store(static_cast<std::uint32_t>(main), std::memory_order_relaxed);
}

/// A sign of life, of this process; whether the copy gives one it has to say itself.
void ProgramCopy::look() {
    const WorkerState state = handoff_.record.state.load(std::memory_order_relaxed);
    if (state != WorkerState::InHandler) enter(handoff_.record, state);
}

void ProgramCopy::retire() { send_report(control_.reports_fd(), Report::Kind::Retiring); }

void ProgramCopy::kill_at(std::chrono::milliseconds from_now) {
    kill_at_ = Clock::now() + from_now;
    deadline_->set(from_now, [this] { kill_group(); });
}

/// Never for less than it has; the master waits as long, and of one that starts it alone keeps the time.
void ProgramCopy::extend(std::chrono::milliseconds time) {
    switch (stage_) {
        case Stage::Starting: break;
        case Stage::Leaving:
            if (hurried_ || !kill_at_ || Clock::now() + time <= *kill_at_) return;
            kill_at(time);
            break;
        case Stage::Serving:
        case Stage::Ending: return;
    }
    send_report(control_.reports_fd(), Report::Kind::Extend, std::to_string(time.count()));
}

void ProgramCopy::drain(const ClosingListeners&, FinishTime within) {
    if (stage_ == Stage::Ending) return;
    if (stage_ != Stage::Leaving) {
        stage_ = Stage::Leaving;
        memory_.end();
        enter(handoff_.record, WorkerState::Draining);
        signal_leader(plan_.settings.stop_signal);
    }
    const auto time = within.value_or(plan_.settings.stop_timeout);
    const Deadline end = deadline_after(Clock::now(), time);
    if (earlier(kill_at_, end) == kill_at_) return;
    time_limit_ = within ? "--reload-timeout" : "--stop-timeout";
    kill_at(time);
}

void ProgramCopy::hurry() {
    if (std::exchange(hurried_, true) || stage_ == Stage::Ending) return;
    // What ends it in good order may wait for its clients.
    if (plan_.settings.stop_signal != SIGTERM) signal_leader(SIGTERM);
    kill_at(patience_when_hurried);
}

void ProgramCopy::read_signals() {
    while (const auto signo = signals_.next())
        if (*signo == SIGHUP && plan_.settings.reload_signal && stage_ < Stage::Leaving)
            signal_leader(*plan_.settings.reload_signal);
    reap();
}

void ProgramCopy::reap() {
    const bool had_ended = ended_.has_value();
    for (;;) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == -1 || info.si_pid == 0) break;
        if (info.si_pid == leader_) ended_ = report_of(info);
    }
    if (leader_ == 0) return;
    if (!ended_ && ::kill(leader_, 0) == -1 && errno == ESRCH) ended_ = {ExitReport::Kind::Unknown, 0};
    if (ended_ && !had_ended) note_end();
    if (ended_ && groups_are_empty()) reactor_.stop();
}

/// What it has started in its group may be still there, and has lost who told it what to do.
void ProgramCopy::note_end() {
    if (leader_end_) reactor_.forget(leader_end_.get());
    leader_end_ = {};
    news_.end();
    memory_.end();
    if (stage_ == Stage::Leaving) return signal_groups(plan_.settings.stop_signal);
    stage_ = Stage::Ending;
    signal_groups(SIGTERM);
    kill_at(patience_after_term);
}

void ProgramCopy::kill_group() {
    killed_ = !ended_;
    if (killed_ && !hurried_)
        log(LogLevel::Warning, "{program} (pid {child_pid}) has not ended within {option}: killing it",
            {{"program", name_}, {"child_pid", std::int64_t{leader_}}, {"option", time_limit_}});
    signal_leader(SIGKILL);  // should it have left its group
    signal_groups(SIGKILL);
}

void ProgramCopy::signal_leader(int signo) const {
    if (leader_ != 0 && !ended_) ::kill(leader_, signo);
}

void ProgramCopy::signal_groups(int signo) const {
    for (const pid_t group : groups_) ::kill(-group, signo);
}

bool ProgramCopy::groups_are_empty() const {
    return std::ranges::all_of(groups_, [](pid_t group) { return ::kill(-group, 0) == -1 && errno == ESRCH; });
}

void ProgramCopy::log_line(std::string_view line) {
    last_line_ = line;
    address_in_use_ |= says_address_in_use(line);
    handoff_.record.last_error.write(line);
    if (log_enabled(LogLevel::Info) && output_rate_.allow())
        log(LogLevel::Info, "{program}: {text}",
            {{"program", name_}, {"text", line}, {"child_pid", std::int64_t{leader_}}});
}

bool ProgramCopy::has_left_as_told() const {
    if (stage_ != Stage::Leaving) return false;
    if (hurried_) return true;
    const int signo = plan_.settings.stop_signal;
    if (ended_->kind == ExitReport::Kind::Unknown) return !killed_;
    if (ended_->kind != ExitReport::Kind::Exited)
        return !killed_ && (ended_->value == signo || ended_->value == SIGTERM);
    return ended_->value == 0 || ended_->value == killed_by + signo;
}

std::string ProgramCopy::why_it_ended() const {
    std::string text = fmt::format("{} {}", name_, describe(*ended_));
    if (!was_ready_) text += " before it was ready";
    if (!last_line_.empty()) text += ", having said " + in_quotes(last_line_);
    if (address_in_use_)
        text += "; does it listen by itself? have it take the socket that it is given, see --pass";
    else if (!was_ready_ && *ended_ == ExitReport{ExitReport::Kind::Exited, 0})
        text += "; does it go into the background? have it stay in the foreground";
    return text;
}

int ProgramCopy::end() {
    if (output_) output_->finish();
    output_rate_.say_dropped();
    if (has_left_as_told()) return 0;
    if (stage_ == Stage::Ending) {
        if (!was_ready_)
            send_report(control_.reports_fd(), Report::Kind::Failed, why_it_ended());
        else if (address_in_use_)
            log(LogLevel::Error, "{cause}", {{"cause", why_it_ended()}});
    }
    if (ended_->kind == ExitReport::Kind::Exited) return ended_->value;
    if (ended_->kind == ExitReport::Kind::Unknown) return static_cast<int>(ExitCode::Internal);
    constexpr rlimit no_core{};  // the copy has left its own
    ::setrlimit(RLIMIT_CORE, &no_core);
    die_of(ended_->value);
    return static_cast<int>(ExitCode::Internal);
}

}  // namespace preforkd
