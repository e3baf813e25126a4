#include "daemon/observe/snapshots.hpp"

#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/channel/observer_handoff.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

/// Far beyond what a thousand workers and as many listeners make.
constexpr std::size_t longest_bytes = std::size_t{64} << 20;

}  // namespace

Snapshots::Snapshots(asio::io_context& context, UniqueFd questions, UniqueFd answers, std::function<void()> ended)
    : context_{context},
      questions_{std::move(questions)},
      answers_{context, answers.release()},
      next_question_{context},
      tell_end_{std::move(ended)} {
    asio::co_spawn(context, read_answers(), asio::detached);
    asio::co_spawn(context, keep_asking(), asio::detached);
}

asio::awaitable<Snapshots::Pointer> Snapshots::fresh() {
    if (ended_ || (last_ && Clock::now() - told_ <= fresh_for)) co_return last_;
    const auto asked = Clock::now();
    ask();
    while (!ended_ && told_ < asked) {
        asio::steady_timer timer{context_, asked + patience};
        waiting_.insert(&timer);
        boost::system::error_code woken;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        waiting_.erase(&timer);
        if (!woken) co_return nullptr;
    }
    co_return last_;
}

void Snapshots::ask() {
    if (asked_ || ended_) return;
    constexpr char question = '?';
    // A pipe that is full holds questions enough.
    (void)!::write(questions_.get(), &question, 1);
    asked_ = Clock::now();
}

Clock::duration Snapshots::silence() const { return asked_ ? Clock::now() - *asked_ : Clock::duration::zero(); }

asio::awaitable<void> Snapshots::read_answers() {
    for (;;) {
        boost::system::error_code failed;
        const std::size_t length =
            co_await asio::async_read_until(answers_, asio::dynamic_buffer(line_, longest_bytes), '\n',
                                            asio::redirect_error(asio::use_awaitable, failed));
        if (failed) break;
        last_ = std::make_shared<const Snapshot>(parse_snapshot(std::string_view{line_}.substr(0, length)));
        line_.erase(0, length);
        told_ = Clock::now();
        asked_.reset();
        wake_all();
    }
    ended_ = true;
    asked_.reset();
    wake_all();
    tell_end_();
}

/// Also while nobody looks: see observer_asks_every.
asio::awaitable<void> Snapshots::keep_asking() {
    boost::system::error_code ignored;
    while (!ended_) {
        next_question_.expires_after(observer_asks_every);
        co_await next_question_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        ask();
    }
}

void Snapshots::wake_all() {
    for (asio::steady_timer* timer : waiting_) timer->cancel();
}

}  // namespace preforkd
