#include "daemon/observe/reply.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Snapshot> running() {
    return std::make_shared<const Snapshot>(Snapshot{.status = {.version = "1.2", .phase = "running"}});
}

TEST(Reply, a_path_has_its_route_and_another_has_none) {
    EXPECT_EQ(route_of("/readyz"), Route::Readiness);
    EXPECT_EQ(route_of("/"), Route::Page);
    EXPECT_EQ(route_of("/readyz/"), Route::Unknown);
    EXPECT_EQ(route_of(""), Route::Unknown);
}

TEST(Reply, only_what_tells_of_the_master_waits_for_it) {
    for (const Route route : {Route::Metrics, Route::Readiness, Route::Status, Route::PageData})
        EXPECT_TRUE(needs_master(route));
    for (const Route route : {Route::Health, Route::Page, Route::Style, Route::Script, Route::Unknown})
        EXPECT_FALSE(needs_master(route));
}

TEST(Reply, readiness_is_the_masters_word_and_its_silence_is_none) {
    EXPECT_EQ(reply_to(Route::Readiness, "", {.fresh = running()}).status, 200U);
    const auto draining = std::make_shared<const Snapshot>(Snapshot{.why_not_ready = "not ready: draining"});
    const Reply refusal = reply_to(Route::Readiness, "", {.fresh = draining});
    EXPECT_EQ(refusal.status, 503U);
    EXPECT_EQ(refusal.body, "not ready: draining\n");
    EXPECT_EQ(reply_to(Route::Readiness, "", {.last = running()}).status, 503U);
}

TEST(Reply, a_short_silence_is_no_death) {
    EXPECT_EQ(reply_to(Route::Health, "", {.silence = 0s}).status, 200U);
    EXPECT_EQ(reply_to(Route::Health, "", {.silence = 10s}).status, 200U);
    EXPECT_EQ(reply_to(Route::Health, "", {.silence = 10s + 1ns}).status, 503U);
}

TEST(Reply, metrics_of_a_silent_master_are_its_last_and_say_so) {
    const Reply silent = reply_to(Route::Metrics, "", {.last = running()});
    EXPECT_EQ(silent.status, 200U);
    EXPECT_NE(silent.body.find("\npreforkd_up 0\n"), std::string::npos);
    EXPECT_NE(silent.body.find("\npreforkd_ready 0\n"), std::string::npos);
    EXPECT_NE(silent.body.find(R"(preforkd_build_info{version="1.2"} 1)"), std::string::npos);
    EXPECT_EQ(reply_to(Route::Metrics, "", {}).body.find("ready"), std::string::npos) << "nothing is known";
}

}  // namespace
}  // namespace preforkd
