#include "common/base/epoll_set.hpp"

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

Keys keys_of(EpollSet& events, Deadline deadline) {
    const auto keys = events.wait_until(deadline);
    return {keys.begin(), keys.end()};
}

void write_byte(const testing::Pipe& pipe) { ASSERT_EQ(::write(pipe.writer.get(), "x", 1), 1); }

TEST(EpollSet, a_deadline_that_has_passed_is_not_waited_for) {
    EpollSet events;
    EXPECT_EQ(keys_of(events, Clock::now() - 1h), Keys{});
}

TEST(EpollSet, a_wait_ends_at_its_deadline_and_never_before) {
    EpollSet events;
    for (const auto patience : {100us, 1'300us, 20'000us}) {
        const auto deadline = Clock::now() + patience;
        EXPECT_EQ(keys_of(events, deadline), Keys{});
        EXPECT_GE(Clock::now(), deadline) << "the master would poll for what is left";
    }
}

TEST(EpollSet, what_is_readable_is_told_by_its_key) {
    EpollSet events;
    const testing::Pipe first = testing::make_pipe();
    const testing::Pipe second = testing::make_pipe();
    events.watch(first.reader.get(), 7);
    events.watch(second.reader.get(), 0xffff'ffff'ffff'ffff);
    write_byte(second);
    EXPECT_EQ(keys_of(events, std::nullopt), Keys{0xffff'ffff'ffff'ffff});
    write_byte(first);
    Keys both = keys_of(events, std::nullopt);
    std::ranges::sort(both);
    EXPECT_EQ(both, (Keys{7, 0xffff'ffff'ffff'ffff}));
}

TEST(EpollSet, the_end_of_a_peer_is_an_event) {
    EpollSet events;
    testing::Pipe pipe = testing::make_pipe();
    events.watch(pipe.reader.get(), 7);
    pipe.writer = {};
    EXPECT_EQ(keys_of(events, std::nullopt), Keys{7});
}

TEST(EpollSet, a_descriptor_wakes_for_what_is_asked_of_it_last) {
    EpollSet events;
    const testing::Pipe pipe = testing::make_pipe();
    write_byte(pipe);
    ASSERT_TRUE(events.add(pipe.reader.get(), 7, 0));
    EXPECT_EQ(keys_of(events, Clock::now()), Keys{});
    ASSERT_TRUE(events.change(pipe.reader.get(), 8, EPOLLIN));
    EXPECT_EQ(keys_of(events, Clock::now()), Keys{8});
    EXPECT_FALSE(events.add(pipe.reader.get(), 9, EPOLLIN)) << "it is there already";
    EXPECT_THROW(events.watch(pipe.reader.get(), 9), std::system_error);
}

TEST(EpollSet, a_set_with_an_event_is_readable_itself) {
    EpollSet inner;
    EpollSet outer;
    outer.watch(inner.fd(), 1);
    const testing::Pipe pipe = testing::make_pipe();
    inner.watch(pipe.reader.get(), 7);
    EXPECT_EQ(keys_of(outer, Clock::now()), Keys{});
    write_byte(pipe);
    EXPECT_EQ(keys_of(outer, Clock::now()), Keys{1});
}

TEST(EpollSet, what_is_removed_wakes_nobody_though_a_copy_is_open) {
    EpollSet events;
    const testing::Pipe pipe = testing::make_pipe();
    const UniqueFd copy{::dup(pipe.reader.get())};
    events.watch(pipe.reader.get(), 7);
    write_byte(pipe);
    events.remove(pipe.reader.get());
    EXPECT_EQ(keys_of(events, Clock::now()), Keys{});
    events.remove(pipe.reader.get());  // twice is no error
}

TEST(EpollSet, more_events_than_one_call_takes_come_with_the_next) {
    EpollSet events;
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
        const Keys keys = keys_of(events, Clock::now());
        seen.insert(seen.end(), keys.begin(), keys.end());
    }
    std::ranges::sort(seen);
    seen.erase(std::ranges::unique(seen).begin(), seen.end());
    EXPECT_EQ(seen, expected);
}

TEST(EpollSet, a_signal_ends_the_wait_without_an_event) {
    EXPECT_EQ(testing::in_child([]() -> std::string {
                  struct sigaction action {};
                  action.sa_handler = [](int) {};
                  ::sigaction(SIGALRM, &action, nullptr);
                  const itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 20'000}};
                  ::setitimer(ITIMER_REAL, &soon, nullptr);
                  EpollSet events;
                  return events.wait_until(std::nullopt).empty() ? "no event" : "an event";
              }),
              "no event");
}

}  // namespace
}  // namespace preforkd
