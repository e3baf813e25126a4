#include "common/process/process_title.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using testing::in_child;

std::string text_of(const char* file) {
    std::ifstream stream{file};
    return {std::istreambuf_iterator<char>{stream}, {}};
}

/// What is shown of a child that has set `titles`, one after the other.
std::string shown_after(const std::vector<std::string>& titles) {
    return in_child([&] {
        for (const std::string& title : titles) set_process_title(title);
        return text_of("/proc/self/cmdline");
    });
}

std::string titled(const std::string& title) {
    return std::string{program_invocation_short_name}.append(": ").append(title).append(1, '\0');
}

TEST(ProcessTitle, is_shown_instead_of_the_command_line) {
    EXPECT_EQ(shown_after({"worker 3 (greet)"}), titled("worker 3 (greet)"));
}

TEST(ProcessTitle, a_later_one_leaves_nothing_of_an_earlier_one) {
    EXPECT_EQ(shown_after({std::string(100, 'x'), "short", "shorter"}), titled("shorter"));
}

TEST(ProcessTitle, may_be_long) {
    EXPECT_EQ(shown_after({std::string(10'000, 'x')}), titled(std::string(10'000, 'x')));
}

TEST(ProcessTitle, holds_after_memory_has_been_asked_of_the_kernel) {
    EXPECT_EQ(in_child([] {
                  set_process_title("before");
                  (void)::sbrk(1 << 20);
                  set_process_title("after");
                  return text_of("/proc/self/cmdline");
              }),
              titled("after"));
}

TEST(ProcessTitle, leaves_the_environment_as_it_is) {
    const std::string before = text_of("/proc/self/environ");
    ASSERT_FALSE(before.empty());
    EXPECT_EQ(in_child([] {
                  set_process_title("worker 3");
                  return text_of("/proc/self/environ") + (std::getenv("PATH") == nullptr ? "gone" : "");
              }),
              before);
}

}  // namespace
}  // namespace preforkd
