#include "daemon/worker/wait_list.hpp"

namespace preforkd {

using namespace std::chrono_literals;

void WaitList::add(Waiting& wait, std::chrono::milliseconds patience) {
    constexpr auto slack = 100ms;
    wait.outcome_ = Waiting::Outcome::Pending;
    wait.until_ = patience == 0ms ? Clock::time_point::max() : Clock::now() + patience;
    waits_.insert(wait);
    if (patience != 0ms && (!armed_ || wait.until_ + slack < *armed_)) arm(wait.until_ + slack);
}

void WaitList::remove(Waiting& wait) noexcept {
    if (wait.is_linked()) waits_.erase(waits_.iterator_to(wait));
}

void WaitList::arm(Clock::time_point at) {
    armed_ = at;
    if (!timer_) timer_ = reactor_.make_timer();
    timer_->set(std::chrono::ceil<std::chrono::milliseconds>(at - Clock::now()), [this] { expire(); });
}

void WaitList::expire() {
    armed_.reset();
    const auto now = Clock::now();
    while (!waits_.empty() && waits_.begin()->until_ <= now) {
        Waiting& late = *waits_.begin();
        waits_.erase(waits_.begin());
        late.outcome_ = Waiting::Outcome::TimedOut;
        late.give_up();
    }
    if (!waits_.empty() && waits_.begin()->until_ != Clock::time_point::max()) arm(waits_.begin()->until_);
}

void WaitList::cancel_all() {
    canceled_ = true;
    while (!waits_.empty()) {
        Waiting& wait = *waits_.begin();
        waits_.erase(waits_.begin());
        wait.outcome_ = Waiting::Outcome::Canceled;
        wait.give_up();
    }
}

}  // namespace preforkd
