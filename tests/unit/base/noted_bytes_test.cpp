#include "common/base/noted_bytes.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(NotedBytes, what_was_written_last_is_read) {
    NotedBytes<16> note;
    EXPECT_EQ(note.read(), "");
    note.write("a longer note");
    EXPECT_EQ(note.read(), "a longer note");
    note.write("short");
    EXPECT_EQ(note.read(), "short");
    note.write("");
    EXPECT_EQ(note.read(), "");
}

TEST(NotedBytes, any_byte_can_be_noted) {
    NotedBytes<16> note;
    note.write("a\0b\xff", 4);
    EXPECT_EQ(note.read(), std::string("a\0b\xff", 4));
}

TEST(NotedBytes, what_does_not_fit_is_cut) {
    NotedBytes<16> note;
    note.write("0123456789abcdef!");
    EXPECT_EQ(note.read(), "0123456789abcdef");
}

}  // namespace
}  // namespace preforkd
