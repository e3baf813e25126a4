#include "daemon/master/pool/event_source.hpp"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <algorithm>
#include <csignal>
#include <string>

#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using Keys = std::vector<std::uint64_t>;

void write_byte(const testing::Pipe& pipe) { ASSERT_EQ(::write(pipe.writer.get(), "x", 1), 1); }

TEST(EventSource, a_deadline_that_has_passed_is_not_waited_for) {
    EventSource events;
    EXPECT_EQ(events.wait_until(Clock::now() - 1h), Keys{});
}

TEST(EventSource, a_wait_ends_at_its_deadline_and_never_before) {
    EventSource events;
    for (const auto patience : {100us, 1'300us, 20'000us}) {
        const auto deadline = Clock::now() + patience;
        EXPECT_EQ(events.wait_until(deadline), Keys{});
        EXPECT_GE(Clock::now(), deadline) << "the master would poll for what is left";
    }
}

TEST(EventSource, what_is_readable_is_told_by_its_key) {
    EventSource events;
    const testing::Pipe first = testing::make_pipe();
    const testing::Pipe second = testing::make_pipe();
    events.watch(first.reader.get(), 7);
    events.watch(second.reader.get(), 0xffff'ffff'ffff'ffff);
    write_byte(second);
    EXPECT_EQ(events.wait_until(std::nullopt), Keys{0xffff'ffff'ffff'ffff});
    write_byte(first);
    Keys both = events.wait_until(std::nullopt);
    std::ranges::sort(both);
    EXPECT_EQ(both, (Keys{7, 0xffff'ffff'ffff'ffff}));
}

TEST(EventSource, the_end_of_a_peer_is_an_event) {
    EventSource events;
    testing::Pipe pipe = testing::make_pipe();
    events.watch(pipe.reader.get(), 7);
    pipe.writer = {};
    EXPECT_EQ(events.wait_until(std::nullopt), Keys{7});
}

TEST(EventSource, what_is_forgotten_wakes_nobody_though_a_copy_is_open) {
    EventSource events;
    const testing::Pipe pipe = testing::make_pipe();
    const UniqueFd copy{::dup(pipe.reader.get())};
    events.watch(pipe.reader.get(), 7);
    write_byte(pipe);
    events.forget(pipe.reader.get());
    EXPECT_EQ(events.wait_until(Clock::now()), Keys{});
    events.forget(pipe.reader.get());  // twice is no error
}

TEST(EventSource, more_events_than_one_call_takes_come_with_the_next) {
    EventSource events;
    std::vector<testing::Pipe> pipes;
    Keys expected;
    for (std::uint64_t key = 0; key < 100; ++key) {
        pipes.push_back(testing::make_pipe());
        events.watch(pipes.back().reader.get(), key);
        write_byte(pipes.back());
        expected.push_back(key);
    }
    Keys seen;
    for (int rounds = 0; rounds < 3; ++rounds) {
        const Keys keys = events.wait_until(Clock::now());
        seen.insert(seen.end(), keys.begin(), keys.end());
    }
    std::ranges::sort(seen);
    seen.erase(std::ranges::unique(seen).begin(), seen.end());
    EXPECT_EQ(seen, expected);
}

TEST(EventSource, a_signal_ends_the_wait_without_an_event) {
    EXPECT_EQ(testing::in_child([]() -> std::string {
                  struct sigaction action {};
                  action.sa_handler = [](int) {};
                  ::sigaction(SIGALRM, &action, nullptr);
                  const itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 20'000}};
                  ::setitimer(ITIMER_REAL, &soon, nullptr);
                  EventSource events;
                  return events.wait_until(std::nullopt).empty() ? "no event" : "an event";
              }),
              "no event");
}

}  // namespace
}  // namespace preforkd
