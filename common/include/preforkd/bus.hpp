#pragma once
// Messages from each worker of a service to all of them.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace preforkd {

class Worker;
class WorkerBus;

/// What a handler publishes, and what it hears of what others of its service publish.  A handler that uses it says so,
/// since what it takes is made before its worker is forked:
///
///     static constexpr bool uses_bus = true;
///     ...
///     worker.bus().subscribe("news", [this](std::string_view text) { show(text); });
///     worker.bus().publish("news", text);
///
/// Everything reaches all workers, the one that has published it included, over reloads and upgrades: the workers
/// before and after hear each other.  What one worker has published is heard in that order.  Nobody waits for anybody:
/// who is slower than 1024 messages of another worker, or 128 KiB, loses the oldest, and is told how many.  A worker
/// that is killed at any instruction loses its own last message at most.  Without a master (a test, a Server,
/// --workers 0) it reaches the one server.
///
/// Callbacks run in the worker's loop: in model async between coroutines, in serial between clients, in thread in the
/// main thread, beside the handlers' own.  The children of model fork have no loop, and so --model fork is refused.
///
/// The workers are those of one service, and believed: one that is taken over may publish in the name of another, or
/// make all lose messages.
class Bus {
public:
    using Hear = std::function<void(std::string_view text)>;
    using HearOfLoss = std::function<void(std::uint64_t messages)>;

    static constexpr std::size_t longest_bytes = std::size_t{16} << 10;  ///< of topic and text together

    /// One whose subscriptions end before those of Worker::bus(): with it, a local variable of serve() for instance.
    /// Throws as that does.
    explicit Bus(Worker& worker);
    explicit Bus(std::shared_ptr<WorkerBus> bus);
    /// When it returns, no callback of it runs, unless one has destroyed it.
    ~Bus();
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    /// From any thread.  Costs a copy, and at most a system call: a thread beside wakes those who have subscribed.
    /// Throws std::length_error for what is too long, and std::logic_error in what a handler has forked.
    void publish(std::string_view topic, std::string_view text);

    /// Has `hear` called with each message of `topic` from now on; the text is valid until it returns.  It may
    /// subscribe, publish, and destroy this.  What it throws is logged.  From any thread, but not while holding a lock
    /// that a callback takes.
    void subscribe(std::string_view topic, Hear hear);

    /// Has `hear` called when messages have been lost, of whatever topic.  Where nobody asks for that, it is logged.
    void on_loss(HearOfLoss hear);

private:
    class Subscriptions;
    std::unique_ptr<Subscriptions> subscriptions_;
};

}  // namespace preforkd
