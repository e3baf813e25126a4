#include "daemon/worker/model/child_crew.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/channel/stopping.hpp"
#include "common/process/child_process.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto retry_period = 500ms;  // as for clients that cannot be accepted
constexpr auto youth = 5ms;           // in which nobody waits for a child's end, save the next client
constexpr int looks_per_client = 2;   // one ends for each that comes, and one to catch up
constexpr auto patience_after_term = fast_stop - 500ms;  // the worker itself has until then, and reaps them first

/// Errors that pass: too many processes, no memory, no descriptors or watches, or a program that is being replaced on
/// disk.
bool is_shortage(const std::error_code& error) noexcept {
    switch (error.value()) {
        case EAGAIN:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case ENOSPC:
        case ETXTBSY: return true;
        default: return false;
    }
}

/// Once in a process: it is the embedding program's business, and a loss of knowledge only.
void say_that_somebody_else_reaps() {
    static std::atomic<pid_t> said_by{0};
    if (const pid_t self = ::getpid(); said_by.exchange(self) == self) return;
    log(LogLevel::Notice,
        "SIGCHLD is ignored, or somebody here waits for every child: how the processes of clients end is not known");
}

}  // namespace

void log_child_end(LogLevel level, std::string_view what, const ChildJob& job, const ChildEnd& end) {
    if (!log_enabled(level)) return;
    const double seconds = static_cast<double>(end.age.count()) / 1000;
    const std::string cause = describe(end.report);
    log(level, "{process} {child_pid} {cause} after {age_seconds} s, for {peer}",
        {{"peer", job.peer()},
         {"process", what},
         {"child_pid", std::int64_t{end.pid}},
         {"cause", cause},
         {"age_seconds", seconds}});
}

ChildCrew::ChildCrew(Reactor& reactor, WorkerRecord& record, const Rules& rules)
    : reactor_{reactor},
      record_{record},
      rules_{rules},
      linger_{reactor, rules.parked},
      retry_timer_{reactor.make_timer()},
      watch_timer_{reactor.make_timer()},
      kill_timer_{reactor.make_timer()},
      overdue_timer_{reactor.make_timer()} {
    if (rules_.strangers == Strangers::Leave) return;
    signals_.emplace(std::initializer_list<int>{SIGCHLD});
    reactor_.watch(signals_->get(), [this] { reap(); });
}

ChildCrew::~ChildCrew() {
    if (signals_) reactor_.forget(signals_->get());
    for (const auto& [pid, child] : children_) reactor_.forget(child.process.pidfd());
}

void ChildCrew::start(std::unique_ptr<ChildJob> job) {
    if (stage_ == Stage::Hurried) {
        job->failed(ConnectionOutcome::Cut);
        return let_go(*job, false);
    }
    if (waiting_.empty() && launch(job)) {
        said_short_ = false;  // unlike one that has waited, which gets the process of one that ended
        return;
    }
    waiting_.push_back(std::move(job));
    retry_timer_->set(retry_period, [this] { launch_waiting(); });
}

Acceptor::Take ChildCrew::bounded(Acceptor::Take take) {
    return [this, take = std::move(take)](int socket) {
        if (children_.size() + 1 >= rules_.limit)
            reap_unwatched();  // at the limit only those who are still there count
        return waiting_.empty() ? take(socket) : Acceptor::not_now;
    };
}

/// False: not now.
bool ChildCrew::launch(std::unique_ptr<ChildJob>& job) {
    pid_t pid = 0;
    try {
        ChildProcess process = job->launch();
        pid = process.pid();
        if (job->linger == 0ms) job->client = {};  // the last who has it closes it
        const auto now = Clock::now();
        const Deadline patience = deadline_after(now, job->is_one_request() ? rules_.request_timeout : 0ms);
        children_.emplace(
            pid, Child{.process = std::move(process), .job = std::move(job), .born = now, .patience = patience});
        if (patience && !overdue_at_) set_overdue_timer(now);
    } catch (const std::system_error& error) {
        if (!is_shortage(error.code())) {
            log(LogLevel::Error, "cannot serve {peer}: {cause}", {{"cause", error.what()}, {"peer", job->peer()}});
            job->failed(ConnectionOutcome::Error);
            let_go(*job, false);
            return true;
        }
        if (!std::exchange(said_short_, true))
            log(LogLevel::Warning, "cannot make a process for {peer}; retrying every 500 ms: {cause}",
                {{"cause", with_remedy(error)}, {"peer", job->peer()}});
        // Kept in line whether it is new or an old one.
    }
    // The child is in the handler; this process is not, however long it takes.
    enter(record_, stage_ == Stage::Serving ? WorkerState::WaitingForClient : WorkerState::Draining);
    if (pid != 0 && stage_ == Stage::Draining) children_.at(pid).job->ask_to_leave(children_.at(pid).process);
    if (pid != 0) expect_end_of(pid);
    return job == nullptr;
}

void ChildCrew::expect_end_of(pid_t pid) {
    if (rules_.strangers == Strangers::Reap) return;  // SIGCHLD tells
    if (!children_.at(pid).job->end_can_wait()) return watch(pid);
    unwatched_.push_back(pid);
    if (stage_ != Stage::Serving || children_.size() >= rules_.limit) return watch_the_rest();
    set_watch_timer();
}

void ChildCrew::set_watch_timer() {
    if (!std::exchange(watch_timer_set_, true))
        watch_timer_->set(youth, [this] {
            watch_timer_set_ = false;
            watch_the_rest();
        });
}

/// No memory, no descriptor or no watch left: looks after it again and again.
void ChildCrew::watch(pid_t pid) {
    ChildProcess& process = children_.at(pid).process;
    try {
        if (process.pidfd() < 0) process.open_handle();
        reactor_.watch(process.pidfd(), [this, pid] {
            collect(pid);
            linger_.glance();
        });
    } catch (const std::system_error&) {
        unwatched_.push_back(pid);
        set_watch_timer();
    }
}

void ChildCrew::watch_the_rest() {
    reap_unwatched();
    for (const pid_t pid : std::exchange(unwatched_, {})) watch(pid);
}

void ChildCrew::reap_unwatched() {
    for (const pid_t pid : std::exchange(unwatched_, {}))
        if (!collect(pid)) unwatched_.push_back(pid);
}

void ChildCrew::awake() {
    // The youngest came just now.
    for (int looks = 0; looks < looks_per_client && unwatched_.size() > 1; ++looks) {
        const pid_t oldest = unwatched_.front();
        unwatched_.pop_front();
        if (collect(oldest)) continue;
        unwatched_.push_front(oldest);
        break;
    }
    linger_.glance();
}

void ChildCrew::launch_waiting() {
    while (!waiting_.empty() && stage_ != Stage::Hurried) {
        auto job = std::move(waiting_.front());
        waiting_.pop_front();
        if (launch(job)) continue;
        waiting_.push_front(std::move(job));
        return retry_timer_->set(retry_period, [this] { launch_waiting(); });
    }
}

void ChildCrew::reap() {
    (void)signals_->next();  // one is pending at most, and the descriptor stays readable while there is one
    for (;;) {
        // Look before collecting: a child may be somebody else's, and must not hide ours behind it.
        siginfo_t ended{};
        if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == -1 || ended.si_pid == 0) break;
        if (children_.contains(ended.si_pid))
            collect(ended.si_pid);
        else
            ::waitid(P_PID, static_cast<id_t>(ended.si_pid), &ended, WEXITED | WNOHANG);
    }
    linger_.glance();
}

/// Whether it has ended.
bool ChildCrew::collect(pid_t pid) {
    const auto found = children_.find(pid);
    if (found == children_.end()) return true;
    const auto report = found->second.process.try_reap();
    if (!report) return false;
    const auto born = found->second.born;
    const bool asked = found->second.asked_to_end;
    const std::unique_ptr<ChildJob> job = std::move(found->second.job);
    reactor_.forget(found->second.process.pidfd());
    children_.erase(found);
    if (report->kind == ExitReport::Kind::Unknown) say_that_somebody_else_reaps();
    job->report({.pid = pid,
                 .report = *report,
                 .age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - born),
                 .asked_to_end = asked || stage_ == Stage::Hurried});
    let_go(*job, job->client_is_in_use(pid));
    launch_waiting();  // there is space for one more
    return true;
}

void ChildCrew::let_go(ChildJob& job, bool in_use) {
    // SHUT_WR is for the connection, not for our copy of it: it would cut off a child that still answers.
    if (job.client && !in_use && stage_ != Stage::Hurried) linger_.finish(std::move(job.client), job.linger);
    job.client = {};
    job.account.close(/*bytes_are_known=*/false);
    job.place.give_back();
    job.ended();
}

void ChildCrew::drain() {
    if (stage_ == Stage::Serving) stage_ = Stage::Draining;
    watch_the_rest();
    for (const auto& [pid, child] : children_) child.job->ask_to_leave(child.process);
}

void ChildCrew::hurry() {
    if (std::exchange(stage_, Stage::Hurried) == Stage::Hurried) return;
    overdue_timer_->cancel();  // all are asked now, and killed together
    watch_the_rest();
    for (const auto& [pid, child] : children_) {
        child.job->failed(ConnectionOutcome::Cut);
        child.job->signal(child.process, SIGTERM);
    }
    kill_timer_->set(patience_after_term, [this] { kill_all(); });
    for (auto& job : std::exchange(waiting_, {})) {
        log(LogLevel::Warning, "{peer} was not served: there was no process for it", {{"peer", job->peer()}});
        job->failed(ConnectionOutcome::Cut);
        let_go(*job, false);
    }
}

void ChildCrew::kill_all() {
    for (const auto& [pid, child] : children_) kill(child);
}

void ChildCrew::kill(const Child& child) {
    log(LogLevel::Warning, "the process {child_pid} of {peer} has not ended when asked to: killing it",
        {{"peer", child.job->peer()}, {"child_pid", std::int64_t{child.process.pid()}}});
    child.job->signal(child.process, SIGKILL);
}

void ChildCrew::end_overdue() {
    const auto now = Clock::now();
    for (auto& [pid, child] : children_) {
        if (!has_passed(child.patience, now)) continue;
        if (child.asked_to_end) {
            kill(child);
            child.patience.reset();
            continue;
        }
        log(LogLevel::Notice, "{peer} took longer than --request-timeout: ending its process {child_pid}",
            {{"peer", child.job->peer()}, {"child_pid", std::int64_t{pid}}});
        child.job->failed(ConnectionOutcome::RequestTimeout);
        child.job->signal(child.process, SIGTERM);
        child.asked_to_end = true;
        child.patience = now + patience_after_term;
    }
    set_overdue_timer(now);
}

void ChildCrew::set_overdue_timer(Clock::time_point now) {
    overdue_at_.reset();
    for (const auto& [pid, child] : children_) overdue_at_ = earlier(overdue_at_, child.patience);
    if (overdue_at_)
        overdue_timer_->set(std::chrono::ceil<std::chrono::milliseconds>(*overdue_at_ - now),
                            [this] { end_overdue(); });
}

void ChildCrew::finish(std::function<void()> done) {
    linger_.when_empty(stage_ == Stage::Hurried ? 0ms : last_linger_limit, std::move(done));
}

std::size_t ChildCrew::clients_from(const SocketAddress& address) const {
    const SocketAddress host = address.with_port(0);
    std::size_t found = 0;
    for (const auto& [pid, child] : children_) found += child.job->address.with_port(0) == host ? 1 : 0;
    return found;
}

}  // namespace preforkd
