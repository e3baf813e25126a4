#include "common/base/units.hpp"

#include <gtest/gtest.h>

#include <string>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(Units, a_plain_number_is_seconds) {
    EXPECT_EQ(parse_duration("0"), 0ms);
    EXPECT_EQ(parse_duration("30"), 30s);
    EXPECT_EQ(parse_duration("007"), 7s);
}

TEST(Units, every_unit_of_time_is_read) {
    EXPECT_EQ(parse_duration("500ms"), 500ms);
    EXPECT_EQ(parse_duration("30s"), 30s);
    EXPECT_EQ(parse_duration("5m"), 5min);
    EXPECT_EQ(parse_duration("5min"), 5min);
    EXPECT_EQ(parse_duration("2h"), 2h);
    EXPECT_EQ(parse_duration("1d"), 24h);
}

TEST(Units, durations_add_up) {
    EXPECT_EQ(parse_duration("1m30s"), 90s);
    EXPECT_EQ(parse_duration("1h1min1s1ms"), 1h + 1min + 1s + 1ms);
}

TEST(Units, what_is_no_duration_is_refused) {
    for (const char* text :
         {"",     " ",    "-1", "+1",  "-1s",  "s",    "1x",  "1S",  "1 s",  " 1",         "1 ",   "1.5s",
          "1m30", "30s5", "1w", "1e3", "0x10", "1ms ", "ms1", "1,5", "\xff", "1\xc2\xb5s", "never"})
        EXPECT_EQ(parse_duration(text), std::nullopt) << text;
    EXPECT_EQ(parse_duration(std::string{"1s\0", 3}), std::nullopt);
}

TEST(Units, a_duration_ends_at_365_days) {
    EXPECT_EQ(parse_duration("365d"), 365 * 24h);
    EXPECT_EQ(parse_duration("31536000"), 365 * 24h);
    for (const char* text : {"366d", "365d1ms", "31536001", "18446744073709551615d", "18446744073709551616",
                             "99999999999999999999999999", "365d365d", "9223372036854775807ms"})
        EXPECT_EQ(parse_duration(text), std::nullopt) << text;
    EXPECT_EQ(parse_duration(std::string(1'000'000, '9')), std::nullopt);
    std::string ones;
    for (int i = 0; i < 10'000; ++i) ones += "1d";
    EXPECT_EQ(parse_duration(ones), std::nullopt);
}

TEST(Units, a_duration_is_printed_in_its_units) {
    EXPECT_EQ(to_string(0ms), "0");
    EXPECT_EQ(to_string(500ms), "500ms");
    EXPECT_EQ(to_string(90s), "1m30s");
    EXPECT_EQ(to_string(24h + 1ms), "1d1ms");
}

TEST(Units, a_printed_duration_is_read_back) {
    for (const auto duration :
         {0ms, 1ms, 999ms, 1000ms, 59'999ms, 60'000ms, 3'599'999ms, 86'400'000ms, 31'536'000'000ms})
        EXPECT_EQ(parse_duration(to_string(duration)), duration);
}

TEST(Units, sizes_are_binary) {
    EXPECT_EQ(parse_size_bytes("0"), 0u);
    EXPECT_EQ(parse_size_bytes("4096"), 4096u);
    EXPECT_EQ(parse_size_bytes("4096B"), 4096u);
    EXPECT_EQ(parse_size_bytes("64K"), 65536u);
    EXPECT_EQ(parse_size_bytes("64KB"), 65536u);
    EXPECT_EQ(parse_size_bytes("64KiB"), 65536u);
    EXPECT_EQ(parse_size_bytes("64M"), 67108864u);
    EXPECT_EQ(parse_size_bytes("2G"), 2147483648u);
}

TEST(Units, what_is_no_size_is_refused) {
    for (const char* text : {"", "K", "-1", "+1", "1k", "1T", "1KK", "1iB", "1 K", "1K ", "1.5M", "1BB", "0x10"})
        EXPECT_EQ(parse_size_bytes(text), std::nullopt) << text;
}

TEST(Units, a_size_that_overflows_is_refused) {
    EXPECT_EQ(parse_size_bytes("18446744073709551615"), 18446744073709551615u);
    EXPECT_EQ(parse_size_bytes("17179869183G"), 17179869183u << 30);
    for (const char* text : {"18446744073709551616", "17179869184G", "18446744073709551615K"})
        EXPECT_EQ(parse_size_bytes(text), std::nullopt) << text;
}

TEST(Units, a_size_is_printed_as_short_as_it_can_be_read_back) {
    EXPECT_EQ(print_size_bytes(0), "0");
    EXPECT_EQ(print_size_bytes(4097), "4097");
    EXPECT_EQ(print_size_bytes(64 << 10), "64K");
    EXPECT_EQ(print_size_bytes(1536u << 20), "1536M");
    for (const std::uint64_t size : {1u, 1023u, 1024u, 200u << 20, 3u << 30})
        EXPECT_EQ(parse_size_bytes(print_size_bytes(size)), size);
    EXPECT_EQ(parse_size_bytes(print_size_bytes(std::uint64_t{5} << 40)), std::uint64_t{5} << 40);
}

}  // namespace
}  // namespace preforkd
