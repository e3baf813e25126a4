#include "daemon/master/pool/leaving_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(ReloadTime, programs_have_for_ever_and_handlers_what_they_have_at_a_stop_unless_somebody_says) {
    EXPECT_EQ(reload_time(true, std::nullopt), 0ms);
    EXPECT_EQ(reload_time(false, std::nullopt), std::nullopt);
    for (const bool programs : {true, false})
        for (const auto asked : {0ms, 1ms, 3'600'000ms}) EXPECT_EQ(reload_time(programs, asked), asked);
}

}  // namespace
}  // namespace preforkd
