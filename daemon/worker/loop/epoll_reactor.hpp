#pragma once
#include <cstdint>
#include <map>
#include <set>

#include "common/base/epoll_set.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// A bare epoll set, for workers that fork or whose handlers block: nothing in it does harm in a forked child.
class EpollReactor final : public Reactor {
public:
    [[nodiscard]] std::unique_ptr<SharedQueue> share(UniqueFd socket, std::function<void()> readable) override;
    void watch(int fd, std::function<void()> readable) override;
    void forget(int fd) override;
    [[nodiscard]] std::unique_ptr<Timer> make_timer() override;
    [[nodiscard]] int epoll_fd() override { return epoll_.fd(); }
    void run() override;
    void stop() override { stopped_ = true; }

private:
    class Queue;
    class Alarm;
    using Key = std::uint64_t;  // not the descriptor: its number may be another's before its last event is read

    Key enter(std::function<void()> readable);
    void dispatch(Key key);
    void ring_alarms();

    EpollSet epoll_{};
    std::map<Key, std::shared_ptr<std::function<void()>>> callbacks_{};
    std::map<int, Key> watched_{};
    std::multimap<Clock::time_point, Alarm*> alarms_{};
    Key last_key_ = 0;
    bool stopped_ = false;
};

}  // namespace preforkd
