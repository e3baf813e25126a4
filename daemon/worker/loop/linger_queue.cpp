#include "daemon/worker/loop/linger_queue.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_drained_bytes = std::size_t{64} * 1024;  // a client that keeps sending is not waited for
constexpr int looks_per_glance = 2;                                 // one comes for each that goes, and one to catch up

/// Whether the client's system has not yet acknowledged all of our reply.  Source: tcp(7), unix(7), SIOCOUTQ.
bool has_unsent(int fd) noexcept {
    int unsent_bytes = 0;
    return ::ioctl(fd, SIOCOUTQ, &unsent_bytes) == 0 && unsent_bytes > 0;
}

}  // namespace

void LingerQueue::finish(UniqueFd connection, std::chrono::milliseconds patience, bool output_ended) {
    if (patience == 0ms) return;                                               // linger=off: the destructor closes
    if (!output_ended && ::shutdown(connection.get(), SHUT_WR) == -1) return;  // ENOTCONN: the client has reset it
    Parked parked{.fd = std::move(connection), .until = Clock::now() + patience};
    if (look_at(parked) == Look::Over) return;
    if (parked_.size() >= capacity_) parked_.pop_front();
    parked_.push_back(std::move(parked));
    if (!armed_) arm(1s);
}

LingerQueue::Look LingerQueue::look_at(Parked& parked) {
    if (!scratch_) scratch_ = std::make_unique_for_overwrite<std::byte[]>(BufferPool::buffer_bytes);
    for (std::size_t looked_bytes = 0; looked_bytes <= most_drained_bytes;) {
        const ssize_t got = ::recv(parked.fd.get(), scratch_.get(), BufferPool::buffer_bytes, MSG_DONTWAIT);
        if (got == 0 || (got == -1 && errno != EAGAIN && errno != EINTR)) return Look::Over;
        if (got == -1 && errno == EAGAIN) break;
        if (got == -1) continue;
        looked_bytes += static_cast<std::size_t>(got);
        parked.drained_bytes += static_cast<std::size_t>(got);
    }
    // It sends and sends.  While part of our reply is under way a close would destroy it; after that it is let go.
    const bool sends_on = parked.drained_bytes > most_drained_bytes;
    return sends_on && !has_unsent(parked.fd.get()) ? Look::Over : Look::Wait;
}

void LingerQueue::glance() {
    for (int looks = 0; looks < looks_per_glance && !parked_.empty(); ++looks) {
        Parked oldest = std::move(parked_.front());
        parked_.pop_front();
        if (look_at(oldest) == Look::Over) continue;
        parked_.push_back(std::move(oldest));
        return;
    }
}

void LingerQueue::look_at_all() {
    const auto now = Clock::now();
    for (std::size_t left = parked_.size(); left > 0; --left) {
        Parked oldest = std::move(parked_.front());
        parked_.pop_front();
        if (look_at(oldest) == Look::Wait && now < oldest.until) parked_.push_back(std::move(oldest));
    }
}

void LingerQueue::arm(std::chrono::milliseconds period) {
    armed_ = true;
    if (!timer_) timer_ = reactor_.make_timer();
    timer_->set(period, [this] {
        armed_ = false;
        look_at_all();
        if (parked_.empty() || has_passed(leave_at_, Clock::now())) {
            if (when_empty_) std::exchange(when_empty_, nullptr)();
        } else {
            arm(leave_at_ ? 20ms : 1s);
        }
    });
}

void LingerQueue::when_empty(std::chrono::milliseconds patience, std::function<void()> done) {
    look_at_all();
    if (parked_.empty()) return done();
    when_empty_ = std::move(done);
    leave_at_ = Clock::now() + patience;
    arm(20ms);
}

}  // namespace preforkd
