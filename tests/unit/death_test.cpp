#include "daemon/master/death.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using Kind = ExitReport::Kind;

TEST(Death, an_exit_is_told_with_its_code) {
    EXPECT_EQ(describe({Kind::Exited, 0}), "exited with code 0");
    EXPECT_EQ(describe({Kind::Exited, 70}), "exited with code 70");
}

TEST(Death, a_signal_is_told_by_its_name) {
    EXPECT_EQ(describe({Kind::Killed, SIGKILL}), "killed by SIGKILL");
    EXPECT_EQ(describe({Kind::Killed, SIGTERM}), "killed by SIGTERM");
}

TEST(Death, a_core_dump_is_told) { EXPECT_EQ(describe({Kind::Dumped, SIGSEGV}), "killed by SIGSEGV, core dumped"); }

TEST(Death, a_signal_without_a_name_is_told_by_its_number) {
    EXPECT_EQ(describe({Kind::Killed, 40}), "killed by signal 40");
}

}  // namespace
}  // namespace preforkd
