#include "daemon/master/pool/oom_watch.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(OomWatch, kills_are_read_from_either_version_of_cgroups) {
    EXPECT_EQ(oom_kills_in("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), 2U);
    EXPECT_EQ(oom_kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7U);
    EXPECT_EQ(oom_kills_in("oom_kill 7"), 7U);
    for (const char* none : {"", "oom_kill_disable 0\n", "oom_kill x\n", "oom 3\n"})
        EXPECT_FALSE(oom_kills_in(none)) << none;
}

}  // namespace
}  // namespace preforkd
