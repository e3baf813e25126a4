#include "daemon/worker/loop/wait_list.hpp"

#include <utility>

namespace preforkd {

using namespace std::chrono_literals;

void WaitList::add(Waiting& wait, std::chrono::milliseconds patience) {
    constexpr auto slack = 100ms;
    wait.waits_ = Waiting::Waits::ForEver;
    wait.outcome_ = Waiting::Outcome::Pending;
    wait.until_ = patience == 0ms ? Clock::time_point::max() : recent_time() + longest_tick + patience;
    if (!wait.is_linked() || wait.until_ < wait.place_) place(wait);
    if (patience != 0ms && (!armed_ || wait.until_ + slack < *armed_)) arm(wait.until_ + slack);
}

void WaitList::remove(Waiting& wait) noexcept { wait.waits_ = Waiting::Waits::Not; }

/// Most have the same patience, so that the end is where it belongs.
void WaitList::place(Waiting& wait) {
    if (wait.is_linked()) waits_.erase(waits_.iterator_to(wait));
    wait.place_ = wait.until_;
    waits_.insert(waits_.end(), wait);
}

void WaitList::arm(Clock::time_point at) {
    armed_ = at;
    if (!timer_) timer_ = reactor_.make_timer();
    timer_->set(std::chrono::ceil<std::chrono::milliseconds>(at - Clock::now()), [this] { expire(); });
}

void WaitList::expire() {
    armed_.reset();
    const auto now = Clock::now();
    while (!waits_.empty() && waits_.begin()->place_ <= now) {
        Waiting& first = *waits_.begin();
        waits_.erase(waits_.begin());
        if (first.waits_ == Waiting::Waits::Not) continue;
        if (first.until_ > now) {
            place(first);
            continue;
        }
        first.waits_ = Waiting::Waits::Not;
        first.outcome_ = Waiting::Outcome::TimedOut;
        first.give_up();
    }
    if (!waits_.empty() && waits_.begin()->place_ != Clock::time_point::max()) arm(waits_.begin()->place_);
}

void WaitList::cancel_all() {
    canceled_ = true;
    while (!waits_.empty()) {
        Waiting& first = *waits_.begin();
        waits_.erase(waits_.begin());
        if (std::exchange(first.waits_, Waiting::Waits::Not) == Waiting::Waits::Not) continue;
        first.outcome_ = Waiting::Outcome::Canceled;
        first.give_up();
    }
}

/// Each keeps its place, as one that stops waiting does: so nothing of the list changes meanwhile.
void WaitList::end_idle() {
    for (Waiting& each : waits_) {
        if (each.waits_ != Waiting::Waits::UntilDrain) continue;
        each.waits_ = Waiting::Waits::Not;
        each.outcome_ = Waiting::Outcome::Drained;
        each.give_up();
    }
}

}  // namespace preforkd
