#include "daemon/worker/loop/wait_list.hpp"

#include <string>

#include "daemon/worker/loop/epoll_reactor.hpp"
#include "tests/process/reactors.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using Outcome = Waiting::Outcome;
using testing::play;

class WaitLists : public ::testing::Test {
protected:
    struct Wait final : Waiting {
        Wait(WaitLists& home, std::string known_as) : test{home}, name{std::move(known_as)} {}
        void give_up() override {
            test.given_up += name;
            at = Clock::now();
            if (then) then();
        }
        WaitLists& test;
        std::string name;
        Clock::time_point at{};
        std::function<void()> then{};
    };

    bool play_until_given_up(const std::string& names) {
        return play(reactor, {{[&] { return given_up.size() >= names.size(); }}}) && given_up == names;
    }

    EpollReactor reactor{};
    WaitList list{reactor};
    std::string given_up{};
    Wait a{*this, "a"};
    Wait b{*this, "b"};
    Wait c{*this, "c"};
};

TEST_F(WaitLists, waits_end_in_the_order_of_their_deadlines_and_never_early) {
    const auto start = Clock::now();
    list.add(a, 300ms);
    list.add(b, 10ms);
    list.add(c, 150ms);
    EXPECT_TRUE(play_until_given_up("bca")) << given_up;
    EXPECT_GE(b.at - start, 10ms);
    EXPECT_GE(c.at - start, 150ms);
    EXPECT_GE(a.at - start, 300ms);
    for (const Wait* wait : {&a, &b, &c}) EXPECT_EQ(wait->outcome(), Outcome::TimedOut);
}

TEST_F(WaitLists, without_patience_there_is_no_end) {
    list.add(a, 0ms);
    list.add(b, 5ms);
    EXPECT_TRUE(play_until_given_up("b"));
    EXPECT_EQ(a.outcome(), Outcome::Pending);
}

TEST_F(WaitLists, whoever_stopped_waiting_is_not_told) {
    list.add(a, 5ms);
    list.add(b, 10ms);
    list.remove(a);
    list.remove(a);
    list.remove(c);
    EXPECT_TRUE(play_until_given_up("b"));
    EXPECT_EQ(a.outcome(), Outcome::Pending);
}

TEST_F(WaitLists, whoever_waits_again_is_given_the_whole_time_again) {
    const auto start = Clock::now();
    list.add(a, 150ms);
    list.add(b, 100ms);
    b.then = [&] {
        list.remove(a);
        list.add(a, 150ms);
    };
    EXPECT_TRUE(play_until_given_up("ba")) << given_up;
    EXPECT_GE(a.at - start, 250ms);
}

TEST_F(WaitLists, whoever_waits_again_for_less_is_given_less) {
    const auto start = Clock::now();
    list.add(a, 1h);
    list.remove(a);
    list.add(a, 5ms);
    EXPECT_TRUE(play_until_given_up("a"));
    EXPECT_LT(a.at - start, 10s);
}

TEST_F(WaitLists, whoever_ends_leaves_by_itself) {
    {
        Wait gone{*this, "x"};
        list.add(gone, 5ms);
    }
    list.add(b, 10ms);
    EXPECT_TRUE(play_until_given_up("b"));
}

TEST_F(WaitLists, a_shorter_wait_that_comes_later_is_not_held_up) {
    const auto start = Clock::now();
    list.add(a, 1h);
    list.add(b, 10ms);
    EXPECT_TRUE(play_until_given_up("b"));
    EXPECT_LT(b.at - start, 10s);
}

TEST_F(WaitLists, a_wait_can_begin_again_when_it_ends) {
    int rounds = 0;
    a.then = [&] {
        if (++rounds == 3) return;
        EXPECT_EQ(a.outcome(), Outcome::TimedOut);
        list.add(a, 5ms);
        EXPECT_EQ(a.outcome(), Outcome::Pending);
    };
    list.add(a, 5ms);
    EXPECT_TRUE(play_until_given_up("aaa"));
}

TEST_F(WaitLists, canceling_ends_all_at_once) {
    list.add(a, 1h);
    list.add(b, 0ms);
    EXPECT_FALSE(list.canceled());
    list.cancel_all();
    EXPECT_TRUE(list.canceled());
    EXPECT_EQ(given_up, "ab");
    EXPECT_EQ(a.outcome(), Outcome::Canceled);
    EXPECT_EQ(b.outcome(), Outcome::Canceled);
    list.cancel_all();
    EXPECT_EQ(given_up, "ab");
}

TEST_F(WaitLists, a_drain_ends_those_that_wait_for_nothing_begun) {
    list.add(a, 1h);
    list.until_drain(a);
    list.add(b, 1h);
    list.add(c, 0ms);
    list.until_drain(c);
    list.remove(c);
    list.end_idle();
    EXPECT_EQ(given_up, "a");
    EXPECT_EQ(a.outcome(), Outcome::Drained);
    EXPECT_EQ(b.outcome(), Outcome::Pending);
    list.add(a, 1h);
    list.end_idle();
    EXPECT_EQ(given_up, "a") << "it waits for what has begun now";
}

}  // namespace
}  // namespace preforkd
