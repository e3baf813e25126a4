#pragma once
// What becomes of datagrams beside being served, counted where threads and children can count too.
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "common/channel/traffic.hpp"
#include "common/net/listener.hpp"
#include "daemon/worker/accept/source_policy.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// One worker's counters of one listener, in memory that it shares with the children it forks.
struct DatagramTally {
    TrafficCounter traffic;
    std::atomic<std::uint64_t> lost_replies{};  ///< no space at the receiver, or nobody there
    std::atomic<std::uint64_t> too_long{};      ///< received cut, so not served
    std::atomic<std::uint64_t> dropped{};       ///< by the kernel, of the whole socket: its receive buffer was full
    std::atomic<std::uint64_t> cut_replies{};   ///< longer than their requests
    std::array<std::atomic<std::uint64_t>, source_faults> unserved{};  ///< by SourceFault
};

/// What a tally has come to.
struct DatagramCounts {
    std::uint64_t lost_replies = 0;
    std::uint64_t too_long = 0;
    std::uint64_t dropped = 0;
    std::uint64_t cut_replies = 0;
    std::array<std::uint64_t, source_faults> unserved{};
    friend bool operator==(const DatagramCounts&, const DatagramCounts&) = default;
};

[[nodiscard]] std::shared_ptr<DatagramTally> make_shared_tally(TrafficCounter traffic);

/// Says in the log what the tallies of a worker have come to: a line for each counter that grew, at most once a second
/// and nothing left out; of replies that are cut, as the settings want it, the first and the last number only.  The
/// timer runs only in the second after a line, so a worker that loses nothing is not woken.
class DatagramLosses {
public:
    /// `measure` calls count_drops() for each socket that is open.
    DatagramLosses(Reactor& reactor, std::function<void()> measure);

    /// The tally of `listener`, which outlives this.  What the kernel has dropped before is not this worker's to tell.
    [[nodiscard]] std::shared_ptr<DatagramTally> open_tally(const Listener& listener, TrafficCounter traffic);

    /// What the kernel has dropped, also since the last datagram that came through; nothing where there is no tally.
    void count_drops(const Listener& listener, int socket) noexcept;

    /// Something may have been counted.  Costs no system call while nothing has.
    void look() {
        if (!entries_.empty()) look_at_all();
    }

    /// The worker leaves.
    void say_rest();

private:
    struct Entry {
        const Listener& listener;
        std::shared_ptr<DatagramTally> tally;
        DatagramCounts said{};
    };

    enum class When { Now, AtTheEnd };
    [[nodiscard]] static bool say(Entry& entry, When when);
    [[nodiscard]] bool say_all(When when);
    void look_at_all();

    Reactor& reactor_;
    std::function<void()> measure_;
    std::list<Entry> entries_{};
    std::unique_ptr<Timer> timer_{};  // made with the first line
    bool silent_ = false;             ///< the second after a line, which the timer ends
};

}  // namespace preforkd
