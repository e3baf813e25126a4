#include "daemon/worker/process/lifeline.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/channel/stopping.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t stack_bytes = std::size_t{128} * 1024;  // a log line is 4 KiB, and there are three at most

UniqueFd make_event() { return UniqueFd{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an event descriptor")}; }

/// With a small stack and without signals.  Where the handlers' thread-local variables leave nothing of that stack,
/// with an ordinary one.
int create_thread(pthread_t& thread, void* (*body)(void*), void* argument) noexcept {
    sigset_t all;
    ::sigfillset(&all);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setsigmask_np(&attributes, &all);
    int error = EINVAL;
    if (::pthread_attr_setstacksize(&attributes, stack_bytes) == 0)
        error = ::pthread_create(&thread, &attributes, body, argument);
    if (error == EINVAL) {
        ::pthread_attr_destroy(&attributes);
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setsigmask_np(&attributes, &all);
        error = ::pthread_create(&thread, &attributes, body, argument);
    }
    ::pthread_attr_destroy(&attributes);
    return error;
}

}  // namespace

Lifeline::Lifeline(const Duties& duties) : duties_{duties} {
    if (!duties_.takes_stop_signals) return;
    signals_.emplace(std::initializer_list<int>{SIGTERM, SIGQUIT, SIGINT});
    stop_event_ = make_event();
}

Lifeline::~Lifeline() {
    if (thread_) {
        {
            const std::scoped_lock lock{mutex_};
            leaving_ = true;
        }
        ring(wakeup_);
        ::pthread_join(*thread_, nullptr);
    }
    if (duties_.printed != nullptr) duties_.printed->log_rest();
}

void Lifeline::start() {
    wakeup_ = make_event();
    dead_ = make_event();
    pthread_t thread{};
    if (const int error = create_thread(thread, run, this); error != 0)
        throw std::system_error{error, std::generic_category(),
                                "start the thread that a worker has beside its handlers"};
    thread_ = thread;
}

void* Lifeline::run(void* self) noexcept {
    ::prctl(PR_SET_NAME, "lifeline");  // of another thread it takes a file in /proc
    static_cast<Lifeline*>(self)->watch();
    return nullptr;
}

void Lifeline::watch() noexcept {
    for (;;) {
        {
            const std::scoped_lock lock{mutex_};
            if (leaving_) return;
            if (has_passed(deadline_, Clock::now())) end_process();
            if (has_passed(task_limit_, Clock::now())) end_without_tasks();
        }
        // poll(2) passes over a negative descriptor, and tells of the end of the channel without being asked.
        std::array<pollfd, 4> watched{
            {{.fd = wakeup_.get(), .events = POLLIN, .revents = 0},
             {.fd = orphaned_ ? -1 : duties_.channel, .events = 0, .revents = 0},
             {.fd = signals_ ? signals_->get() : -1, .events = POLLIN, .revents = 0},
             {.fd = duties_.printed == nullptr || unfinished_until_ ? -1 : duties_.printed->fd(),
              .events = POLLIN,
              .revents = 0}}};
        const int ready = ::poll(watched.data(), watched.size(), milliseconds_left());
        if (has_passed(unfinished_until_, Clock::now())) {
            unfinished_until_.reset();
            duties_.printed->log_rest();
        }
        if (ready <= 0) continue;
        eventfd_t times = 0;
        if (watched[0].revents != 0) (void)::eventfd_read(wakeup_.get(), &times);
        if (watched[1].revents != 0) lose_master();
        if (watched[2].revents != 0) hear_signals();
        if (watched[3].revents != 0) log_printed();
    }
}

int Lifeline::milliseconds_left() const noexcept {
    const std::scoped_lock lock{mutex_};
    const Deadline next = earlier(earlier(deadline_, task_limit_), unfinished_until_);
    if (!next) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

void Lifeline::log_printed() noexcept {
    // Some at a time: who prints without end must not keep this thread from its other duties.
    for (int chunks = 0; chunks < 16; ++chunks) switch (duties_.printed->log_lines()) {
            case PrintedLines::Left::More: continue;
            case PrintedLines::Left::Nothing: return;
            case PrintedLines::Left::Unfinished: unfinished_until_ = Clock::now() + patience_with_a_line; return;
            case PrintedLines::Left::Ended: duties_.printed = nullptr; return;
        }
}

void Lifeline::lose_master() noexcept {
    const std::scoped_lock lock{mutex_};
    orphaned_ = true;
    for (const Covered& listener : listeners_) {
        if (listener.reactor >= 0) ::epoll_ctl(listener.reactor, EPOLL_CTL_DEL, listener.fd, nullptr);
        // A close would let the number be given to the next connection, which the loop would take for the listener.
        ::dup3(dead_.get(), listener.fd, O_CLOEXEC);
    }
    arm_locked(duties_.stop_timeout);
}

Lifeline::Listener::Listener(Lifeline& lifeline, int listener, int reactor) : lifeline_{lifeline}, fd_{listener} {
    const std::scoped_lock lock{lifeline_.mutex_};
    lifeline_.listeners_.push_back({.fd = listener, .reactor = reactor});
}

Lifeline::Listener::~Listener() {
    const std::scoped_lock lock{lifeline_.mutex_};
    std::erase_if(lifeline_.listeners_, [this](const Covered& listener) { return listener.fd == fd_; });
}

std::vector<int> Lifeline::stop_fds() const {
    // Whoever of the loop and the thread comes first reads the signal; the event tells the loop of the other case.
    if (!signals_) return {};
    return {signals_->get(), stop_event_.get()};
}

void Lifeline::hear_signals() {
    const std::scoped_lock lock{mutex_};
    while (const auto signo = signals_->next()) {
        const bool fast = *signo == SIGINT || std::exchange(stopping_, true);
        stopping_ = true;
        if (fast || !asked_) asked_ = fast ? Stop::Fast : Stop::Graceful;
        arm_locked(fast ? std::chrono::milliseconds{fast_stop} : duties_.stop_timeout);
        ring(stop_event_);
    }
}

std::optional<Lifeline::Stop> Lifeline::take_stop() {
    if (!signals_) return std::nullopt;
    hear_signals();
    const std::scoped_lock lock{mutex_};
    eventfd_t times = 0;
    (void)::eventfd_read(stop_event_.get(), &times);
    return std::exchange(asked_, std::nullopt);
}

void Lifeline::arm(std::chrono::milliseconds time) noexcept {
    const std::scoped_lock lock{mutex_};
    arm_locked(time);
}

void Lifeline::arm_locked(std::chrono::milliseconds time) noexcept {
    if (time == 0ms) return;
    deadline_ = earlier(deadline_, Clock::now() + time);
    ring(wakeup_);
}

void Lifeline::postpone(std::chrono::milliseconds time) noexcept {
    const std::scoped_lock lock{mutex_};
    if (!deadline_) return;
    deadline_ = Clock::now() + time;
    ring(wakeup_);
}

Lifeline::TaskLimit::TaskLimit(Lifeline& lifeline, std::chrono::milliseconds time) noexcept : lifeline_{lifeline} {
    const std::scoped_lock lock{lifeline_.mutex_};
    lifeline_.task_limit_ = Clock::now() + time;
    lifeline_.ring(lifeline_.wakeup_);
}

Lifeline::TaskLimit::~TaskLimit() {
    const std::scoped_lock lock{lifeline_.mutex_};
    lifeline_.task_limit_.reset();
}

std::chrono::milliseconds Lifeline::left(std::chrono::milliseconds otherwise) const noexcept {
    const std::scoped_lock lock{mutex_};
    if (!deadline_) return otherwise;
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now()), 1ms);
}

void Lifeline::ring(const UniqueFd& event) const noexcept { (void)::eventfd_write(event.get(), 1); }

void Lifeline::end_process() const noexcept {
    if (duties_.printed != nullptr) duties_.printed->log_rest();
    const auto open = duties_.record.active.load(std::memory_order_relaxed);
    std::uint64_t cut = 0;
    // An orphan's loop may cut them at this moment, too: whoever is first to count them says so.  What a master reads
    // is the loop's alone.
    const bool is_first = orphaned_ ? duties_.record.cut.compare_exchange_strong(cut, open, std::memory_order_relaxed)
                                    : (cut = duties_.record.cut.load(std::memory_order_relaxed)) == 0;
    if (duties_.ends == Ends::Group) {
        if (is_first) log_cut_connections(open);  // else that is said already
        if (::getpgrp() == ::getpid()) ::kill(0, SIGKILL);
        ::_exit(0);
    }
    if (is_first || !orphaned_) log_cut_connections(is_first ? open : cut);  // else the loop has said that
    log(LogLevel::Warning, "exiting although a handler has not returned");
    ::_exit(0);
}

/// The thread of the tasks is never given back, so that nothing can be destroyed.
void Lifeline::end_without_tasks() const noexcept {
    if (duties_.printed != nullptr) duties_.printed->log_rest();
    log(LogLevel::Warning,
        "exiting although a task of the handler's goes on: worker_leaving() is not called; see spawn() in "
        "preforkd-handler(3)");
    ::_exit(0);
}

}  // namespace preforkd
