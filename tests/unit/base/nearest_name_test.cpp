#include "common/base/nearest_name.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace preforkd {
namespace {

constexpr std::array<std::string_view, 5> names{"listen", "workers", "user", "log-file", "log-format"};

TEST(NearestName, one_or_two_keystrokes_away_is_near) {
    EXPECT_EQ(nearest_name("worker", names), "workers");
    EXPECT_EQ(nearest_name("wrokers", names), "workers");
    EXPECT_EQ(nearest_name("workerss", names), "workers");
    EXPECT_EQ(nearest_name("lsitne", names), "listen");
}

TEST(NearestName, case_and_underscores_are_no_difference) {
    EXPECT_EQ(nearest_name("LOG_FILE", names), "log-file");
    EXPECT_EQ(nearest_name("Log_Formt", names), "log-format");
}

TEST(NearestName, the_nearest_wins) { EXPECT_EQ(nearest_name("log-fie", names), "log-file"); }

TEST(NearestName, what_is_far_away_has_no_nearest) {
    for (const char* text : {"", "x", "port", "us", "foo", "service_host", "listening"})
        EXPECT_EQ(nearest_name(text, names), std::nullopt) << text;
}

TEST(NearestName, hostile_text_costs_nothing) {
    EXPECT_EQ(nearest_name(std::string(10'000'000, 'w'), names), std::nullopt);
    EXPECT_EQ(nearest_name(std::string(5, '\0'), names), std::nullopt);
}

}  // namespace
}  // namespace preforkd
