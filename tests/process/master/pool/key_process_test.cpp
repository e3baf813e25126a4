#include "daemon/master/pool/key_process.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <iterator>
#include <string_view>

namespace preforkd {
namespace {

/// It ends as soon as it has said that it is ready.
int die_ready(UniqueFd master) { return ::send(master.get(), "r0", 2, MSG_NOSIGNAL) == 2 ? 1 : 2; }

int die_with_a_reason(UniqueFd master) {
    constexpr std::string_view reason = "f78 no key in it";
    return ::send(master.get(), reason.data(), reason.size(), MSG_NOSIGNAL) == std::ssize(reason) ? 78 : 2;
}

void wait_until_dead(pid_t pid) {
    siginfo_t end{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED | WNOWAIT), 0);
    ASSERT_EQ(end.si_status, 1);
}

TEST(KeyProcesses, one_that_dies_before_it_was_heard_to_be_ready_has_a_successor) {
    KeyProcess keys{die_ready};
    keys.begin(Clock::now());
    const pid_t dead = keys.pid();
    wait_until_dead(dead);
    ASSERT_TRUE(keys.reap(dead, Clock::now()));
    ASSERT_EQ(keys.pid(), 0);

    ASSERT_TRUE(keys.deadline()) << "somebody has to ask again";
    EXPECT_FALSE(keys.becomes_ready(*keys.deadline()));
    const pid_t next = keys.pid();
    ASSERT_NE(next, 0);
    wait_until_dead(next);
    EXPECT_TRUE(keys.becomes_ready(Clock::now())) << "it has said so, and nobody has collected it";
    EXPECT_TRUE(keys.reap(next, Clock::now()));
}

TEST(KeyProcesses, what_one_says_as_its_last_is_heard_whenever_it_ends) {
    for (int round = 0; round < 200; ++round) {
        KeyProcess keys{die_with_a_reason};
        keys.begin(Clock::now());
        try {
            keys.wait();
            ADD_FAILURE() << "it has failed";
        } catch (const OperatorError& error) { ASSERT_STREQ(error.what(), "no key in it") << "in round " << round; }
    }
}

}  // namespace
}  // namespace preforkd
