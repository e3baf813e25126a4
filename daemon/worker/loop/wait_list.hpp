#pragma once
// Which connections wait for their client, and until when: one coarse timer a worker instead of one a read.
#include <boost/intrusive/set.hpp>

#include <cstdint>

#include "common/base/clock.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// Something that waits and can be told to stop waiting.  Lives in its owner; leaves the list by itself.
class Waiting : public boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>,
                                                       boost::intrusive::optimize_size<true>> {
public:
    enum class Outcome : std::uint8_t { Pending, TimedOut, Canceled, Drained };

    /// Called when the deadline passes, or by cancel_all() and end_idle(); must make the wait end soon.
    virtual void give_up() = 0;

    [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }

    friend bool operator<(const Waiting& a, const Waiting& b) noexcept { return a.place_ < b.place_; }

protected:
    ~Waiting() = default;

private:
    friend class WaitList;
    Clock::time_point until_{};
    Clock::time_point place_{};  ///< in the list; may be earlier than until_
    enum class Waits : std::uint8_t { Not, ForEver, UntilDrain } waits_ = Waits::Not;
    Outcome outcome_ = Outcome::Pending;
};

/// All waits of one worker, ordered by deadline.  Adding and removing cost no system call; the timer is armed only
/// while somebody waits and is left to run when they stop, so it fires at most once per timeout.
///
/// A connection that stops waiting keeps its place, since it will soon wait again, for longer: only when its place
/// comes up is it moved to where it belongs.  So a busy connection moves once a timeout, not twice a message.
class WaitList {
public:
    explicit WaitList(Reactor& reactor) noexcept : reactor_{reactor} {}

    /// `patience` zero: for ever.  The wait may end up to 100 ms late.
    void add(Waiting& wait, std::chrono::milliseconds patience);
    void remove(Waiting& wait) noexcept;

    /// Of one that was just added: end_idle() ends it, too.
    void until_drain(Waiting& wait) noexcept { wait.waits_ = Waiting::Waits::UntilDrain; }

    /// Ends what waits until_drain().
    void end_idle();

    /// Ends every wait now, and each later one at once: a fast stop.
    void cancel_all();

    [[nodiscard]] bool canceled() const noexcept { return canceled_; }

private:
    void place(Waiting& wait);
    void arm(Clock::time_point at);
    void expire();

    boost::intrusive::multiset<Waiting, boost::intrusive::constant_time_size<false>> waits_;
    Reactor& reactor_;
    std::unique_ptr<Timer> timer_{};  // made when somebody first waits
    Deadline armed_{};
    bool canceled_ = false;
};

}  // namespace preforkd
