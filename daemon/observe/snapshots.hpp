#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "common/control/snapshot.hpp"

namespace preforkd {

/// What the master tells, asked for no more often than it makes sense, and how long it has been silent.
class Snapshots {
public:
    using Pointer = std::shared_ptr<const Snapshot>;

    /// How old what is told may be.
    static constexpr std::chrono::milliseconds fresh_for{250};
    /// How long an answer is waited for.
    static constexpr std::chrono::milliseconds patience{1000};

    /// `ended`: is called once the master has gone, or has another observer.
    Snapshots(boost::asio::io_context& context, UniqueFd questions, UniqueFd answers, std::function<void()> ended);

    /// Null: the master does not answer.  After the end the last that there was, at once.
    [[nodiscard]] boost::asio::awaitable<Pointer> fresh();

    /// Asks, if no question is under way.
    void ask();

    /// How long the question that is under way has gone unanswered; zero: none is.
    [[nodiscard]] Clock::duration silence() const;

    /// The last, of whatever age; null: there was none yet.
    [[nodiscard]] const Pointer& last() const noexcept { return last_; }
    [[nodiscard]] bool ended() const noexcept { return ended_; }

private:
    [[nodiscard]] boost::asio::awaitable<void> read_answers();
    [[nodiscard]] boost::asio::awaitable<void> keep_asking();
    void wake_all();

    boost::asio::io_context& context_;
    UniqueFd questions_;
    boost::asio::posix::stream_descriptor answers_;
    boost::asio::steady_timer next_question_;
    std::function<void()> tell_end_;
    std::string line_{};
    Pointer last_{};
    Clock::time_point told_{};  ///< when `last_` came
    Deadline asked_{};          ///< when the question that is under way was
    std::set<boost::asio::steady_timer*> waiting_{};
    bool ended_ = false;
};

}  // namespace preforkd
