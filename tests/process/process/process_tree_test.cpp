#include "common/process/process_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

constexpr std::size_t piece_bytes = 32 << 20;

/// A child of a child, which has told its pid and waits to be killed with its parent.
class Family : public ::testing::Test {
protected:
    void SetUp() override {
        testing::Pipe told = testing::make_pipe();
        child_ = ::fork();
        if (child_ == 0) {
            const pid_t grandchild = ::fork();
            if (grandchild == 0)
                for (;;) ::pause();
            (void)!::write(told.writer.get(), &grandchild, sizeof grandchild);
            for (;;) ::pause();
        }
        ASSERT_EQ(::read(told.reader.get(), &grandchild_, sizeof grandchild_), sizeof grandchild_);
    }
    void TearDown() override {
        ::kill(grandchild_, SIGKILL);
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }

    pid_t child_ = 0;
    pid_t grandchild_ = 0;
};

TEST_F(Family, it_is_all_that_a_process_has_started) {
    EXPECT_THAT(processes_below(::getpid()), ::testing::ElementsAre(child_, grandchild_));
    EXPECT_THAT(processes_below(child_), ::testing::ElementsAre(grandchild_));
    EXPECT_THAT(processes_below(grandchild_), ::testing::IsEmpty());
}

TEST(ProcessTree, memory_that_a_process_shares_with_its_child_counts_once) {
    void* const memory =
        ::mmap(nullptr, piece_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    std::memset(memory, 1, piece_bytes);
    const std::uint64_t alone = anonymous_bytes_of(::getpid(), true);
    EXPECT_GT(alone, piece_bytes);
    const pid_t child = ::fork();
    if (child == 0)
        for (;;) ::pause();
    const std::uint64_t both = anonymous_bytes_of(::getpid(), true) + anonymous_bytes_of(child, true);
    EXPECT_LT(both, alone + piece_bytes / 2);
    EXPECT_GT(both, alone - piece_bytes / 2);
    EXPECT_GT(anonymous_bytes_of(::getpid(), false) + anonymous_bytes_of(child, false), 2 * piece_bytes);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(anonymous_bytes_of(child, true), 0u);
    ::munmap(memory, piece_bytes);
}

}  // namespace
}  // namespace preforkd
