#pragma once
// A worker's end of the bus.
#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/epoll_set.hpp"
#include "common/channel/bus_memory.hpp"
#include "common/channel/bus_waker.hpp"
#include "preforkd/bus.hpp"

namespace preforkd {

/// Publishes into one ring and reads them all, in the thread of one loop.
class WorkerBus {
public:
    struct Subscription {
        Bus::Hear hear{};
        Bus::HearOfLoss hear_of_loss{};
        bool ended = false;
    };

    /// `memory` may be closed; `wakeup` is its own.  Throws std::system_error.
    WorkerBus(int memory, UniqueFd wakeup, std::size_t place);

    /// See Bus.
    void publish(std::string_view topic, std::string_view text);
    [[nodiscard]] std::shared_ptr<Subscription> subscribe(std::string_view topic, Bus::Hear hear);
    [[nodiscard]] std::shared_ptr<Subscription> subscribe_to_loss(Bus::HearOfLoss hear);
    void unsubscribe(const std::vector<std::shared_ptr<Subscription>>& subscriptions);

    /// Readable when there may be something to hear; borrowed.
    [[nodiscard]] int fd() const noexcept { return events_.fd(); }

    /// Calls `call` for each callback that has something to hear, but not without end: whether there may be more.
    /// `call` throws nothing.
    bool deliver(const std::function<void(const std::function<void()>&)>& call);

private:
    using Call = std::function<void(const std::function<void()>&)>;
    using Topics = std::multimap<std::string, std::shared_ptr<Subscription>, std::less<>>;
    void begin_to_hear();
    void hear(const BusMessage& message, const Call& call);
    void hear_of_loss(std::uint64_t messages, const Call& call);

    BusRings rings_;
    BusWaker waker_;
    const pid_t process_;
    std::mutex writing_{};
    BusWriter writer_;

    std::recursive_mutex hearing_{};  ///< a callback may subscribe
    EpollSet events_{};
    std::vector<BusReader> readers_{};  ///< by place; empty: nobody has subscribed
    std::size_t first_ = 0;             ///< whose turn it is
    std::string buffer_{};
    Topics topics_{};
    std::vector<std::shared_ptr<Subscription>> losses_{};
};

}  // namespace preforkd
