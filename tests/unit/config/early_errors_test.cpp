#include "common/config/early_errors.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(EarlyErrors, the_format_is_the_one_asked_for) {
    EXPECT_EQ(format_of_early_errors({}, {}), LogFormat::Auto);
    EXPECT_EQ(format_of_early_errors({"--log-format", "json"}, {}), LogFormat::Json);
    EXPECT_EQ(format_of_early_errors({"--nonsense", "--log-format=journal"}, {}), LogFormat::Journal);
    EXPECT_EQ(format_of_early_errors({}, {"HOME=/", "PREFORKD_LOG_FORMAT=text"}), LogFormat::Text);
    EXPECT_EQ(format_of_early_errors({"--log-format=json"}, {"PREFORKD_LOG_FORMAT=text"}), LogFormat::Json);
}

TEST(EarlyErrors, one_that_cannot_be_read_is_passed_over) {
    EXPECT_EQ(format_of_early_errors({"--log-format", "xml"}, {"PREFORKD_LOG_FORMAT=text"}), LogFormat::Text);
    EXPECT_EQ(format_of_early_errors({"--log-format"}, {"PREFORKD_LOG_FORMAT=loud"}), LogFormat::Auto);
    EXPECT_EQ(format_of_early_errors({"--log-formats=json"}, {}), LogFormat::Auto);
}

TEST(EarlyErrors, what_stands_behind_the_dashes_is_the_programs) {
    EXPECT_EQ(format_of_early_errors({"--", "prog", "--log-format", "json", "--help"}, {}), LogFormat::Auto);
}

TEST(EarlyErrors, a_tool_speaks_to_a_person) {
    for (const char* tool : {"--check-config", "--print-config", "--list-handlers", "--version", "--help", "-h"})
        EXPECT_EQ(format_of_early_errors({"--log-format", "json", tool}, {}), LogFormat::Text) << tool;
    EXPECT_EQ(format_of_early_errors({"-l", "--listen"}, {}), LogFormat::Auto) << "options with values are none";
}

}  // namespace
}  // namespace preforkd
