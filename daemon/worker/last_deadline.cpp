#include "daemon/worker/last_deadline.hpp"

#include <sys/time.h>
#include <unistd.h>

#include <csignal>

#include "common/cut_connections.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

// What signal handlers work on: plain values, written before they are installed.
const WorkerRecord* watched = nullptr;
LastDeadline ends = LastDeadline::EndsAlone;
volatile std::sig_atomic_t armed = 0;

/// log() takes no lock and allocates nothing, so it may interrupt any code.
[[noreturn]] void on_last_deadline(int) {
    const auto cut = watched->cut.load(std::memory_order_relaxed);
    const auto open = watched->active.load(std::memory_order_relaxed);
    if (ends == LastDeadline::EndsGroup) {
        if (cut == 0) log_cut_connections(open);  // else that is said already
        if (::getpgrp() == ::getpid()) ::kill(0, SIGKILL);
        ::_exit(0);
    }
    log_cut_connections(cut != 0 ? cut : open);
    log(LogLevel::Warning, "leaving although a handler has not returned");
    ::_exit(0);
}

void set_alarm(std::chrono::milliseconds time) noexcept {
    itimerval when{};
    when.it_value.tv_sec = time / 1s;
    when.it_value.tv_usec = std::chrono::microseconds{time % 1s}.count();
    ::setitimer(ITIMER_REAL, &when, nullptr);
}

}  // namespace

void prepare_last_deadline(LastDeadline kind, const WorkerRecord& record) noexcept {
    ends = kind;
    watched = &record;
}

void arm_last_deadline(std::chrono::milliseconds time) noexcept {
    if (time == 0ms || watched == nullptr) return;
    struct sigaction action {};  // installed no earlier, since a handler may use SIGALRM for itself
    action.sa_handler = on_last_deadline;
    ::sigaction(SIGALRM, &action, nullptr);
    armed = 1;
    set_alarm(time);
}

void postpone_last_deadline(std::chrono::milliseconds time) noexcept {
    if (armed != 0) set_alarm(time);
}

std::chrono::milliseconds left_of_last_deadline(std::chrono::milliseconds otherwise) noexcept {
    itimerval left{};
    if (armed == 0 || ::getitimer(ITIMER_REAL, &left) == -1) return otherwise;
    return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::seconds{left.it_value.tv_sec} +
                                                        std::chrono::microseconds{left.it_value.tv_usec});
}

void disarm_last_deadline() noexcept {
    if (armed == 0) return;
    set_alarm(0ms);
    armed = 0;
}

}  // namespace preforkd
