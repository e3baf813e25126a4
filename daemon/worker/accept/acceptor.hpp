#pragma once
// When a worker waits on the shared sockets, and when it asks a sibling to look instead.  For every transport and
// model.
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/channel/scoreboard.hpp"
#include "common/channel/source_cells.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/accept/datagram_tally.hpp"
#include "daemon/worker/accept/listener_counter.hpp"
#include "daemon/worker/accept/queue_share.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/process/worker_control.hpp"

namespace preforkd {

struct AcceptorSettings {
    Writers writers = Writers::One;          ///< of the bytes, and of the ends of connections
    std::span<ListenerRow> rows{};           ///< of the listeners, in the order of open_counter()
    std::size_t limit = 1;                   ///< clients served at once
    std::uint64_t retire_after = 0;          ///< clients; 0: never
    SourceCells::Column column = 0;          ///< where it counts clients that are limited
    bool has_siblings = true;                ///< in whose hands a wake-up of ours may be needed
    Lifeline* lifeline = nullptr;            ///< what takes this process off the sockets when the master dies
    std::function<void()> ask_sibling{};     ///< clients may be waiting that this worker will not take
    std::function<void()> ask_retirement{};  ///< retire_after is reached
    std::function<void()> full{};  ///< at the limit; not each time of a quick succession.  Empty: not asked for
    std::chrono::nanoseconds between_full{};  ///< at least, whatever happens
    std::function<void()> finished{};         ///< closed, and the last client has gone
    std::function<void()> awake{};            ///< the worker is awake: time for small chores
};

/// Clients that are accepted and not started yet: they count, and are still heard when their listener has closed.
class Unstarted {
public:
    virtual ~Unstarted() = default;
    virtual void cancel() = 0;  ///< there is no more time for them
};

/// One worker's share of the shared sockets.
///
///   Open      in the kernel's queue of sleepers
///   Full      at the limit: left the queue; joins again when a client has gone
///   Resting   out of descriptors, memory or processes: left the queue; joins again after 500 ms
///   Emptying  told to close: left the queue, takes the clients it still has to take, then Closed
///   Closed    holds no socket, and its last client has gone
///
/// While handler code runs this worker sleeps in no epoll_wait(), so the kernel does not choose it: only a worker that
/// is about to sleep beside a client it will not take has to leave the queue.  A handler that blocks inside take sleeps
/// in poll(2), beside this: look() and close() may then be called, and take effect as far as they can.
class Acceptor {
public:
    /// Takes one client (or a batch of datagrams) from the socket and starts serving it, between begun() and ended().
    /// Returns 0, or the errno of accept(2) or recvmsg(2), or not_now.
    using Take = std::function<int(int socket)>;

    /// There is no process, or no thread, for anybody: rest.  The model has said why; no errno of accept(2) would be
    /// true here.
    static constexpr int not_now = -1;

    /// All workers together have as many clients of this listener as its max= allows.  Until one has gone the others
    /// wait in its queue, which this worker leaves.
    static constexpr int at_max = -2;

    /// The listener is somebody else's for now, who accepts by himself: the program's that was started for a client, or
    /// another worker's.  Until take_back() this worker leaves the queue, and asks again at each look().
    static constexpr int handed_over = -3;

    Acceptor(Reactor& reactor, WorkerRecord& record, AcceptorSettings settings);

    /// Takes the descriptor of `listener`, which the master knows by `index`.  Before open().
    /// `turn`: how many clients it takes from there before it goes behind its siblings.
    void add(Listener& listener, std::uint32_t index, Take take, int turn = takes_per_turn);

    void open();

    /// A sibling may have died with a wake-up: takes the clients that are queued, within the limit.
    void look();

    /// The client in service makes a blocking handler wait: queued clients are left to the siblings.
    void about_to_block();

    /// Takes no more clients once those queued on the listeners that are `closing` (by their index) are served;
    /// those queued elsewhere are left to the siblings.
    void close(const ClosingListeners& closing);

    /// Nobody else has `listener` any more.
    void take_back(const Listener& listener);

    // What a model reports of each client.  ended() may be called from within take.  `outcome`: unset where somebody
    // else has counted it.
    CountedClient begun(ListenerCounter* listener = nullptr);
    void ended(const CountedClient& client = {}, std::optional<ConnectionOutcome> outcome = ConnectionOutcome::Ok);

    // The same of one that may yet be refused: it takes a place, and the worker counts it once it is admitted.
    CountedClient taken(ListenerCounter* listener);
    void admitted();
    void refused(const CountedClient& client, ConnectionOutcome outcome) { leave_place(client, outcome); }

    /// The same of a program that has got the socket: it takes a place, and whom it serves nobody can count.
    void program_begun() { (void)taken(nullptr); }
    void program_ended() { leave_place({}, std::nullopt); }

    // The same of a datagram, many of which come in the time of one connection: of that a coarse clock tells.
    void datagram_begun(ListenerCounter& listener);
    void datagram_ended(ListenerCounter& listener, std::optional<ConnectionOutcome> outcome);

    /// A client is being waited for, and no handler runs for it yet.
    void wait_for_client() noexcept;

    /// Starts, as take does, a client that was accepted before: `serve` may block, and call ended().
    void start(const std::function<void()>& serve);

    /// Has them live as long as this.
    void keep(std::shared_ptr<Unstarted> unstarted) { unstarted_.push_back(std::move(unstarted)); }
    void cancel_unstarted();

    [[nodiscard]] Reactor& reactor() noexcept { return reactor_; }
    [[nodiscard]] SourceCells::Column column() const noexcept { return settings_.column; }

    /// Whose client it is: if the worker dies, the one that may have killed it.
    void met(const SocketAddress& peer) noexcept { record_.last_peer.write(peer.data(), peer.size()); }

    /// Where the clients of a listener count, all queues of an address in one: to be asked for once for each of the
    /// worker's, in their order.
    [[nodiscard]] ListenerCounter& open_counter(const Listener& listener);

    /// Where it counts how long handlers keep their threads.
    [[nodiscard]] SharedHistogram& handler_busy() noexcept { return record_.handler_busy; }

    /// Where the losses of a listener of datagrams count.
    [[nodiscard]] std::shared_ptr<DatagramTally> open_tally(const Listener& listener, const ListenerCounter& counter) {
        return losses_.open_tally(listener, counter.traffic());
    }
    [[nodiscard]] DatagramLosses& losses() noexcept { return losses_; }

    [[nodiscard]] std::size_t active() const noexcept { return record_.active.load(std::memory_order_relaxed); }
    [[nodiscard]] bool draining() const noexcept { return state_ == State::Emptying || state_ == State::Closed; }

private:
    enum class State { Open, Full, Resting, Emptying, Closed };
    enum class Attempt { Taken, Lost, Nobody, Short, Stopped, AtMax };

    struct Entry {
        const Listener& listener;
        std::uint32_t index;
        Take take;
        int turn;
        std::unique_ptr<SharedQueue> queue{};
        std::optional<Lifeline::Listener> on_lifeline{};  ///< ends first: the socket's number is then anybody's
        int taken_in_turn = 0;
        int vain_in_row = 0;    ///< wake-ups, of a socket for datagrams
        int still_to_take = 0;  ///< while Emptying
        bool closes_for_good = false;
        bool at_max = false;          ///< it has left the queue; while Emptying: goes on when a client has gone
        bool is_handed_over = false;  ///< likewise, until take_back()
    };

    void on_readable(Entry& entry);
    Attempt take_from(Entry& entry);
    Attempt on_error(Entry& entry, int error);
    void take_place(Clock::time_point now);
    void leave_place(const CountedClient& client, std::optional<ConnectionOutcome> outcome);
    void go_on();
    [[nodiscard]] WorkerState state_at_rest() const noexcept;
    void check_limit();
    void tell_full();
    /// By a clock that state changes set.
    [[nodiscard]] std::chrono::nanoseconds since_told_full() const noexcept {
        return std::chrono::nanoseconds{record_.since_ns.load(std::memory_order_relaxed) - told_full_at_ns_};
    }
    void rest();
    void rest_while_emptying();
    void empty_queue();
    void leave_all();
    void join_all();
    void ask_for_handed_over();
    void wait_below_max(Entry& entry);
    void join_those_at_max();
    void count_drops();
    [[nodiscard]] bool somebody_waits();
    [[nodiscard]] bool told_to_leave() const noexcept {
        return record_.told_to_leave.load(std::memory_order_relaxed) != 0;
    }
    void pass_on();

    Reactor& reactor_;
    WorkerRecord& record_;
    AcceptorSettings settings_;
    State state_ = State::Closed;
    std::deque<ListenerRow> own_rows_{};  ///< where nobody else wants to know
    std::deque<ListenerCounter> counters_{};
    std::vector<const Listener*> counted_{};  ///< by these
    std::list<Entry> entries_{};              // a list: their callbacks hold references
    std::vector<std::shared_ptr<Unstarted>> unstarted_{};
    std::unique_ptr<Timer> rest_timer_;
    std::unique_ptr<Timer> max_timer_{};  ///< made when a listener is first at its max=
    DatagramLosses losses_;
    bool has_max_ = false;            ///< some listener, or one that only one worker has
    bool gives_handed_over_ = false;  ///< at the close, to a sibling
    bool some_at_max_ = false;
    bool taking_ = false;  ///< a client is being started
    bool awaiting_handshakes_ = false;
    bool last_look_ = false;  ///< while Emptying: close what is still open after this pass
    int failures_in_row_ = 0;
    bool said_resting_ = false;
    bool told_full_ = false;  ///< since the last client came
    std::int64_t told_full_at_ns_ = 0;
};

}  // namespace preforkd
