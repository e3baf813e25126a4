#include "daemon/master/pool/process_list.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "common/process/spawn.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

TEST(ProcessList, a_child_has_its_parent_and_group_whatever_its_name_holds) {
    const ChildProcess child = spawn([] {
        ::setpgid(0, 0);
        ::prctl(PR_SET_NAME, ") Z 1\n(");
        ::raise(SIGSTOP);
        return 0;
    });
    siginfo_t stopped{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &stopped, WSTOPPED), 0);
    const std::vector<ProcessEntry> all = list_processes();
    const auto found = std::ranges::find(all, child.pid(), &ProcessEntry::pid);
    ASSERT_NE(found, all.end());
    EXPECT_EQ(found->parent, ::getpid());
    EXPECT_EQ(found->group, child.pid());
    EXPECT_EQ(found->state, 'T');
    child.signal(SIGKILL);
    ASSERT_TRUE(testing::comes(child.pidfd()));
    EXPECT_TRUE(child.try_reap());
}

/// Of some of them the file is open when they end, and then there is nothing to read: ESRCH.
TEST(ProcessList, processes_that_come_and_go_meanwhile_are_no_error) {
    std::vector<ChildProcess> restless;
    for (int i = 0; i < 4; ++i)
        restless.push_back(spawn([] {
            for (;;) {
                const ChildProcess brief = spawn([] { return 0; });
                ::waitpid(brief.pid(), nullptr, 0);
            }
            return 0;
        }));
    EXPECT_NO_THROW(for (int round = 0; round < 1000; ++round)(void) list_processes());
    for (const ChildProcess& each : restless) {
        each.signal(SIGKILL);
        EXPECT_TRUE(testing::comes(each.pidfd()));
        EXPECT_TRUE(each.try_reap());
    }
}

}  // namespace
}  // namespace preforkd
