#include "daemon/master/pool/oom_watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace preforkd {
namespace {

/// A counter as the kernel keeps it.
class Counter {
public:
    Counter() { set(5); }
    ~Counter() { std::filesystem::remove(file); }
    Counter(const Counter&) = delete;
    Counter& operator=(const Counter&) = delete;
    void set(int kills) const { std::ofstream{file} << "oom 9\noom_kill " << kills << '\n'; }

    const std::string file = "/tmp/preforkd-oom-" + std::to_string(::getpid());
};

TEST(OomWatch, the_kernel_is_to_blame_when_its_counter_has_moved) {
    const Counter counter;
    OomWatch watch{counter.file};
    EXPECT_FALSE(watch.is_to_blame(true)) << "what happened before the start is not ours";
    counter.set(6);
    EXPECT_TRUE(watch.is_to_blame(true));
    EXPECT_FALSE(watch.is_to_blame(true)) << "one kill, one death";
}

TEST(OomWatch, of_two_killed_at_once_both_are_told) {
    const Counter counter;
    OomWatch watch{counter.file};
    counter.set(7);
    EXPECT_TRUE(watch.is_to_blame(true));
    EXPECT_TRUE(watch.is_to_blame(true));
    EXPECT_FALSE(watch.is_to_blame(true));
}

TEST(OomWatch, who_was_not_killed_did_not_die_of_it) {
    const Counter counter;
    OomWatch watch{counter.file};
    counter.set(6);
    EXPECT_FALSE(watch.is_to_blame(false));
    EXPECT_TRUE(watch.is_to_blame(true)) << "its own death may be reaped after";
}

TEST(OomWatch, without_a_counter_nobody_is_to_blame) {
    OomWatch watch{"/nonexistent"};
    EXPECT_FALSE(watch.is_to_blame(true));
}

TEST(OomWatch, the_counter_of_this_process_can_be_read_where_there_is_one) {
    const std::string file = oom_events_file();
    if (file.empty()) GTEST_SKIP() << "no memory cgroup";
    std::ifstream stream{file};
    const std::string text{std::istreambuf_iterator<char>{stream}, {}};
    EXPECT_TRUE(oom_kills_in(text)) << file << ":\n" << text;
}

}  // namespace
}  // namespace preforkd
