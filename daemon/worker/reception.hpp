#pragma once
// The accept path: who waits on the shared listeners, when, and who has a sibling look instead.
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <list>
#include <vector>

#include "common/listener.hpp"
#include "common/socket_address.hpp"
#include "daemon/worker/loop.hpp"
#include "daemon/worker/shared_listener.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

/// What the reception needs to hear back, and whom it serves with.
struct ReceptionSettings {
    std::size_t limit = 1;  ///< connections open at once
    bool log_connections = true;
    std::uint64_t retire_after = 0;          ///< connections; 0: never
    std::function<void()> ask_sibling{};     ///< clients may be waiting that this worker will not accept
    std::function<void()> ask_retirement{};  ///< retire_after is reached
    std::function<void()> finished{};        ///< closed, and the last connection has ended
};

/// One worker's share of the shared listeners.
///
///   Open      in the kernel's queue of sleepers
///   Full      at the limit: left the queue; joins again when a connection ends
///   Resting   out of descriptors or memory: left the queue; joins again after 500 ms
///   Emptying  told to close: left the queue, serves what is still to be served, then Closed
///   Closed    holds no listener, and its last connection has ended
///
/// While handler code runs this worker sleeps in no epoll_wait(), so the kernel does not choose it: only a worker that
/// is about to sleep beside a client it will not accept has to leave the queue.
class Reception {
public:
    Reception(Loop& loop, ReceptionSettings settings);

    /// Adds a listener, which this object closes, served by `handler`.  Before open().
    void add(Listener& listener, StreamHandler& handler);

    void open();

    /// A sibling may have taken a wake-up with it: accepts what is queued, within the limit.
    void look();

    /// Accepts no more.  `empty_queue`: serves first who is queued on listeners that will close for good; else those
    /// are left to the siblings.  `finished` is called when the last connection has ended.
    void close(bool empty_queue);

private:
    enum class State { Open, Full, Resting, Emptying, Closed };

    struct Gate {
        SharedListener socket;
        const Listener& listener;
        StreamHandler& handler;
        bool set_nodelay;  ///< per connection: an inherited listener's own options are not ours to change
        bool set_keepalive;
        std::chrono::milliseconds linger;
        int accepts_in_turn = 0;
        int still_to_accept = 0;  ///< while Emptying
    };

    /// What one attempt to accept came to.
    enum class Attempt { Accepted, Nothing, Stopped };

    void wait_at(Gate& gate);
    void on_readable(Gate& gate);
    Attempt accept_one(Gate& gate);
    Attempt on_accept_error(Gate& gate, int error);
    void start(Gate& gate, UniqueFd accepted, const SocketAddress& address);
    awaitable<void> serve(Gate& gate, UniqueFd accepted, SocketAddress address);
    void ended();
    void check_limit();
    void rest();
    void empty_queue();
    void leave_all();
    void join_all();
    void close_gates();
    [[nodiscard]] bool somebody_waits();
    [[nodiscard]] std::size_t active() const noexcept { return loop_.record.active.load(std::memory_order_relaxed); }

    Loop& loop_;
    ReceptionSettings settings_;
    State state_ = State::Closed;
    std::list<Gate> gates_{};  // a list: handlers of pending waits hold references
    boost::asio::steady_timer rest_timer_;
    bool starting_ = false;  ///< a handler runs below accept_one()
    int failures_in_row_ = 0;
    bool said_resting_ = false;
};

}  // namespace preforkd
