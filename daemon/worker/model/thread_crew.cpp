#include "daemon/worker/model/thread_crew.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/process/thread_signals.hpp"
#include "daemon/worker/process/stack_report.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto rest_period = 500ms;

UniqueFd make_event() { return UniqueFd{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an event descriptor")}; }

void ring(const UniqueFd& event) noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then it is readable already.
    (void)!::write(event.get(), &one, sizeof one);
}

/// Whether the thread is in its loop, which turns whatever its coroutine waits for.  False without /proc.
///
/// Not by its `syscall`: that is root's file where a worker may not be traced.  The kernel's functions have been
/// ep_poll and do_epoll_wait.
bool sleeps_in_epoll(pid_t thread) {
    std::string function;
    std::ifstream{"/proc/self/task/" + std::to_string(thread) + "/wchan"} >> function;
    return function.find("ep_poll") != function.npos || function.find("epoll") != function.npos;
}

}  // namespace

ThreadCrew::Halt::Halt() : readable_{make_event()} {}

void ThreadCrew::Halt::drain() {
    const std::scoped_lock lock{making_};
    if (!draining_.exchange(true) && drained_) ring(drained_);
}

int ThreadCrew::Halt::drain_fd() {
    const std::scoped_lock lock{making_};
    if (!drained_) {
        drained_ = make_event();
        if (draining_) ring(drained_);
    }
    return drained_.get();
}

void ThreadCrew::Halt::hurry() {
    hurried_.store(true, std::memory_order_relaxed);
    ring(readable_);
}

ThreadCrew::ThreadCrew(Reactor& reactor, const ThreadSettings& settings)
    : reactor_{reactor}, settings_{settings}, try_again_{reactor.make_timer()}, wakeup_{make_event()} {
    const sigset_t blocked = blocked_in_a_thread();
    ::pthread_attr_init(&attributes_);
    // Where glibc sets a mask at each start anyway, this costs no system call.
    ::pthread_attr_setsigmask_np(&attributes_, &blocked);
    reactor_.watch(wakeup_.get(), [this] { collect(); });
}

ThreadCrew::~ThreadCrew() {
    reactor_.forget(wakeup_.get());
    join_finished();
    ::pthread_attr_destroy(&attributes_);
}

void ThreadCrew::start(std::unique_ptr<ThreadTask> task) {
    const int error = try_to_start(task);
    if (error == 0) {
        said_short_ = false;
        return;
    }
    if (!std::exchange(said_short_, true))
        log(LogLevel::Warning,
            "cannot start a thread beside {threads} others; its client waits until one can be started: {cause}",
            {{"cause", std::strerror(error) + std::string{shortage_remedy(error)}},
             {"threads", std::uint64_t{running()}}});
    kept_ = std::move(task);
    try_again_->set(rest_period, [this] { start_kept(); });
}

int ThreadCrew::try_to_start(std::unique_ptr<ThreadTask>& task) {
    Member& member = members_.emplace_back(*this);
    member.self = std::prev(members_.end());
    member.task = std::move(task);
    errno = 0;
    int error = ::pthread_create(&member.thread, &attributes_, run, &member);
    if (error == 0) return 0;
    // glibc says EAGAIN also where there is no memory for the stack; errno still tells which it was.
    if (error == EAGAIN && errno == ENOMEM) error = ENOMEM;
    task = std::move(member.task);
    members_.pop_back();
    return error;
}

void ThreadCrew::start_kept() {
    if (!kept_) return;
    if (try_to_start(kept_) != 0) return try_again_->set(rest_period, [this] { start_kept(); });
    try_again_->cancel();  // but the shortage goes on: it got the thread of one that ended
}

void* ThreadCrew::run(void* self) noexcept {
    const SignalStack for_an_overflow;
    Member& member = *static_cast<Member*>(self);
    ThreadCrew& crew = member.crew;
    member.id.store(::gettid(), std::memory_order_relaxed);
    enter(member.record, WorkerState::InHandler);
    member.task->run({.idle_timeout = crew.settings_.idle_timeout,
                      .request_timeout = crew.settings_.request_timeout,
                      .line_max_bytes = crew.settings_.line_max_bytes,
                      .stop = crew.halt_,
                      .record = member.record});
    leave_handler(member.record, WorkerState::Idle);
    crew.report(member);
    return nullptr;
}

void ThreadCrew::report(Member& member) noexcept {
    bool first = false;
    {
        const std::scoped_lock lock{reporting_};
        first = reported_.empty();
        reported_.push_back(&member);
    }
    if (first) ring(wakeup_);
}

void ThreadCrew::collect() {
    // Those of the last time have had the time to end since they reported, so that no join waits.
    join_finished();
    std::uint64_t times = 0;
    (void)!::read(wakeup_.get(), &times, sizeof times);
    std::vector<Member*> reported;
    {
        const std::scoped_lock lock{reporting_};
        reported.swap(reported_);
    }
    for (Member* member : reported) {
        const std::unique_ptr<ThreadTask> task = std::move(member->task);
        settings_.handler_busy.add(member->record.handler_busy, Writers::One);
        finished_.push_back(member->thread);
        members_.erase(member->self);
        task->over();
    }
    if (kept_) start_kept();
}

std::optional<ThreadCrew::Stuck> ThreadCrew::longest_stuck(std::chrono::nanoseconds limit) const {
    const std::int64_t before_ns = (Clock::now() - limit).time_since_epoch().count();
    std::optional<Stuck> longest;
    for (const Member& member : members_) {
        if (member.record.state.load(std::memory_order_relaxed) != WorkerState::InHandler) continue;
        const std::int64_t since_ns = member.record.since_ns.load(std::memory_order_relaxed);
        const pid_t thread = member.id.load(std::memory_order_relaxed);
        if (since_ns > before_ns || (longest && longest->since_ns < since_ns)) continue;
        if (member.task->has_loop() && sleeps_in_epoll(thread)) continue;
        longest = Stuck{.thread = thread, .since_ns = since_ns};
    }
    return longest;
}

void ThreadCrew::hurry() {
    halt_.hurry();
    if (const auto never_ran = std::exchange(kept_, nullptr)) never_ran->over();
}

void ThreadCrew::join_finished() noexcept {
    for (const pthread_t thread : finished_) ::pthread_join(thread, nullptr);
    finished_.clear();
}

void ThreadCrew::abandon() noexcept {
    for (const Member& member : members_) ::pthread_detach(member.thread);
    // Runs before the destructors of static objects, which the threads may be using.
    ::on_exit([](int status, void*) { ::_exit(status); }, nullptr);
}

}  // namespace preforkd
