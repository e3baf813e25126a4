#include "daemon/worker/loop/epoll_reactor.hpp"

#include "common/base/sys_error.hpp"

namespace preforkd {

class EpollReactor::Queue final : public SharedQueue {
public:
    Queue(EpollReactor& home, UniqueFd socket, Key key) : home_{home}, socket_{std::move(socket)}, key_{key} {}
    ~Queue() override { home_.callbacks_.erase(key_); }

    [[nodiscard]] int fd() const noexcept override { return socket_.get(); }

    void join() override {
        if (!home_.epoll_.add(socket_.get(), key_, EPOLLIN | EPOLLEXCLUSIVE)) throw_errno("join accept queue");
    }

    void leave() override {
        if (!home_.epoll_.remove(socket_.get()) && errno != ENOENT) throw_errno("leave accept queue");
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

EpollReactor::Key EpollReactor::enter(std::function<void()> readable) {
    callbacks_[++last_key_] = std::make_shared<std::function<void()>>(std::move(readable));
    return last_key_;
}

std::unique_ptr<SharedQueue> EpollReactor::share(UniqueFd socket, std::function<void()> readable) {
    return std::make_unique<Queue>(*this, std::move(socket), enter(std::move(readable)));
}

void EpollReactor::watch(int fd, std::function<void()> readable) {
    const Key key = enter(std::move(readable));
    try {
        epoll_.watch(fd, key);
    } catch (const std::system_error&) {
        callbacks_.erase(key);
        throw;
    }
    watched_[fd] = key;
}

void EpollReactor::forget(int fd) {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) return;
    epoll_.remove(fd);
    callbacks_.erase(found->second);
    watched_.erase(found);
}

std::unique_ptr<Timer> EpollReactor::make_timer() { return std::make_unique<Alarm>(*this); }

void EpollReactor::run() {
    while (!stopped_) {
        const Deadline alarm = alarms_.empty() ? Deadline{} : alarms_.begin()->first;
        for (const Key key : epoll_.wait_until(alarm)) dispatch(key);
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

}  // namespace preforkd
