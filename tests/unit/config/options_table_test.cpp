#include "common/config/options_table.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace preforkd {
namespace {

TEST(OptionsTable, a_range_that_is_upside_down_is_turned) {
    for (const std::string_view option : {"workers", "spare"}) {
        Settings settings;
        try {
            find_option(option)->read(settings, "8..2");
            ADD_FAILURE() << option;
        } catch (const std::invalid_argument& error) {
            EXPECT_EQ(std::string{error.what()}, "MIN is above MAX in 8..2; write 2..8");
        }
    }
}

}  // namespace
}  // namespace preforkd
