#include "common/log/harmless_lines.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

std::string harmless(std::string_view lines) {
    std::string made;
    append_harmless(made, lines);
    return made;
}

TEST(HarmlessLines, what_is_printed_as_it_is_stays) {
    for (const std::string_view lines :
         {"", "\n", "a line\n\tand another {\"x\":\"\\u001b\"}\n", "~ !", "Übermut 火\n"})
        EXPECT_EQ(harmless(lines), lines);
    EXPECT_EQ(plainly_harmless_bytes("a line\n\tand another one\n"), 24U);
}

TEST(HarmlessLines, what_a_terminal_obeys_is_written_out) {
    EXPECT_EQ(harmless("\x1b[2J\n"), "\\x1b[2J\n");
    EXPECT_EQ(harmless("a\rb\bc\x7f"), "a\\x0db\\x08c\\x7f");
    EXPECT_EQ(harmless(std::string_view{"\0", 1}), "\\x00");
    EXPECT_EQ(harmless("\xc2\x9b"
                       "2J"),
              "\\xc2\\x9b2J");
    EXPECT_EQ(harmless("\xe2\x80\xae"), "\\xe2\\x80\\xae");
}

TEST(HarmlessLines, what_is_no_text_is_written_out) {
    EXPECT_EQ(harmless("\x9b"
                       "2J \xff \xc3"),
              "\\x9b2J \\xff \\xc3");
}

TEST(HarmlessLines, every_byte_is_found_wherever_it_stands) {
    for (int byte = 0; byte < 256; ++byte)
        for (std::size_t at = 0; at < 20; ++at) {
            std::string lines(20, 'x');
            lines[at] = static_cast<char>(byte);
            const bool plain = (byte >= 0x20 && byte <= 0x7e) || byte == '\n' || byte == '\t';
            EXPECT_EQ(plainly_harmless_bytes(lines), plain ? 20 : at) << byte;
        }
}

}  // namespace
}  // namespace preforkd
