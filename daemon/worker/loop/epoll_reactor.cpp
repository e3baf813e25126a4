#include "daemon/worker/loop/epoll_reactor.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "common/base/sys_error.hpp"

namespace preforkd {

class EpollReactor::Queue final : public SharedQueue {
public:
    Queue(EpollReactor& home, UniqueFd socket, Key key) : home_{home}, socket_{std::move(socket)}, key_{key} {}
    ~Queue() override { home_.callbacks_.erase(key_); }

    [[nodiscard]] int fd() const noexcept override { return socket_.get(); }

    void join() override {
        epoll_event wanted{};
        wanted.events = EPOLLIN | EPOLLEXCLUSIVE;
        wanted.data.u64 = key_;
        check(::epoll_ctl(home_.epoll_.get(), EPOLL_CTL_ADD, socket_.get(), &wanted), "join accept queue");
    }

    void leave() override {
        if (::epoll_ctl(home_.epoll_.get(), EPOLL_CTL_DEL, socket_.get(), nullptr) == -1 && errno != ENOENT)
            throw_errno("leave accept queue");
    }

private:
    EpollReactor& home_;
    UniqueFd socket_;
    Key key_;
};

class EpollReactor::Alarm final : public Timer {
public:
    explicit Alarm(EpollReactor& home) : home_{home}, position_{home.alarms_.end()} {}
    ~Alarm() override { Alarm::cancel(); }
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    void set(std::chrono::milliseconds from_now, std::function<void()> then) override {
        cancel();
        then_ = std::move(then);
        position_ = home_.alarms_.emplace(Clock::now() + from_now, this);
    }

    void cancel() override {
        if (position_ != home_.alarms_.end()) home_.alarms_.erase(position_);
        position_ = home_.alarms_.end();
    }

    void ring() {
        cancel();
        const auto then = std::move(then_);  // it may set this timer again
        then();
    }

private:
    EpollReactor& home_;
    std::multimap<Clock::time_point, Alarm*>::iterator position_;
    std::function<void()> then_{};
};

EpollReactor::EpollReactor() : epoll_{check(::epoll_create1(EPOLL_CLOEXEC), "create the worker's epoll set")} {}
EpollReactor::~EpollReactor() = default;

EpollReactor::Key EpollReactor::enter(std::function<void()> readable) {
    callbacks_[++last_key_] = std::make_shared<std::function<void()>>(std::move(readable));
    return last_key_;
}

std::unique_ptr<SharedQueue> EpollReactor::share(UniqueFd socket, std::function<void()> readable) {
    return std::make_unique<Queue>(*this, std::move(socket), enter(std::move(readable)));
}

void EpollReactor::watch(int fd, std::function<void()> readable) {
    const Key key = enter(std::move(readable));
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = key;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &wanted) == -1) {
        const int error = errno;
        callbacks_.erase(key);
        throw std::system_error{error, std::generic_category(), "watch a descriptor"};
    }
    watched_[fd] = key;
}

void EpollReactor::forget(int fd) {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    callbacks_.erase(found->second);
    watched_.erase(found);
}

std::unique_ptr<Timer> EpollReactor::make_timer() { return std::make_unique<Alarm>(*this); }

void EpollReactor::run() {
    while (!stopped_) {
        std::array<epoll_event, 16> events{};
        const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms());
        if (ready == -1 && errno != EINTR) throw_errno("wait for events");
        for (int index = 0; index < ready; ++index) dispatch(events[static_cast<std::size_t>(index)].data.u64);
        ring_alarms();
    }
}

void EpollReactor::dispatch(Key key) {
    const auto found = callbacks_.find(key);
    if (found == callbacks_.end()) return;  // gone since the kernel reported it
    const auto readable = found->second;    // it may remove itself
    (*readable)();
}

void EpollReactor::ring_alarms() {
    const auto now = Clock::now();
    while (!alarms_.empty() && alarms_.begin()->first <= now) alarms_.begin()->second->ring();
}

int EpollReactor::timeout_ms() const {
    using namespace std::chrono;
    if (alarms_.empty()) return -1;
    const auto left = ceil<milliseconds>(alarms_.begin()->first - Clock::now());
    return static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, hours{24} / milliseconds{1}));
}

}  // namespace preforkd
