#include "daemon/worker/program/copy_notification.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(CopyNotification, a_message_may_say_several_things) {
    EXPECT_EQ(parse_copy_notification("READY=1\nSTATUS=serves 3\nMAINPID=77\nX_OTHER=1\nWATCHDOG=1"),
              (CopyNotification{.ready = true, .alive = true, .status = "serves 3", .main_pid = 77}));
    EXPECT_EQ(parse_copy_notification("STOPPING=1\nEXTEND_TIMEOUT_USEC=2500000\n"),
              (CopyNotification{.stopping = true, .extend = 2500ms}));
    EXPECT_EQ(parse_copy_notification("WATCHDOG=trigger"), (CopyNotification{.hangs = true}));
}

TEST(CopyNotification, what_is_no_such_word_says_nothing) {
    for (const char* const message : {"", "READY", "READY=0", "READY=11", "ready=1", "WATCHDOG=", "MAINPID=0",
                                      "MAINPID=1", "MAINPID=-7", "MAINPID=7x", "EXTEND_TIMEOUT_USEC=soon", "\n\n=1"})
        EXPECT_EQ(parse_copy_notification(message), CopyNotification{}) << message;
}

TEST(CopyNotification, nobody_extends_anything_for_ever) {
    EXPECT_EQ(parse_copy_notification("EXTEND_TIMEOUT_USEC=18446744073709551615").extend, 24h);
}

}  // namespace
}  // namespace preforkd
