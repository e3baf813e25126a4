#include "daemon/ctl/import/xinetd_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using enum OldEntry::Kind;
using enum OldAttribute::Operation;

TEST(XinetdText, a_service_has_attributes_with_three_operators) {
    const OldText read = parse_xinetd(
        "# a comment\n\nservice echo\n{\n  id\t= echo-stream\n  # another\n  only_from += a b\nenv-=X\nnice=10\n}\n",
        "f");
    EXPECT_THAT(read.remarks, IsEmpty());
    ASSERT_EQ(read.entries.size(), 1u);
    const OldEntry& echo = read.entries[0];
    EXPECT_EQ(echo.kind, XinetdService);
    EXPECT_EQ(echo.name, "echo");
    EXPECT_EQ(echo.place, "f:3");
    EXPECT_THAT(
        echo.attributes,
        ElementsAre(OldAttribute{"id", Set, {"echo-stream"}, "f:5"}, OldAttribute{"only_from", Add, {"a", "b"}, "f:7"},
                    OldAttribute{"env", Remove, {"X"}, "f:8"}, OldAttribute{"nice", Set, {"10"}, "f:9"}));
}

TEST(XinetdText, defaults_and_includes_stand_between) {
    const OldText read = parse_xinetd("defaults\n{\n}\nincludedir /etc/xinetd.d\ninclude /etc/x\n", "f");
    ASSERT_EQ(read.entries.size(), 3u);
    EXPECT_EQ(read.entries[0].kind, Defaults);
    EXPECT_EQ(read.entries[1], (OldEntry{.kind = IncludeDirectory, .name = "/etc/xinetd.d", .place = "f:4"}));
    EXPECT_EQ(read.entries[2], (OldEntry{.kind = Include, .name = "/etc/x", .place = "f:5"}));
}

TEST(XinetdText, what_is_no_entry_is_named_and_the_rest_is_read) {
    const OldText read = parse_xinetd("servcie a\nservice b\n{\n= 1\nnice 10\n}\nservice c\n{\nnice = 1\n", "f");
    ASSERT_EQ(read.entries.size(), 1u);
    EXPECT_EQ(read.entries[0].name, "b");
    EXPECT_THAT(read.entries[0].attributes, IsEmpty());
    ASSERT_EQ(read.remarks.size(), 4u);
    EXPECT_EQ(read.remarks[0].place, "f:1");
    EXPECT_THAT(read.remarks[0].sentence, HasSubstr("not \"servcie a\""));
    EXPECT_EQ(read.remarks[1].place, "f:4");
    EXPECT_EQ(read.remarks[2].place, "f:5");
    EXPECT_THAT(read.remarks[3].sentence, HasSubstr("service c has no }"));
    EXPECT_EQ(parse_xinetd("service a\nb\n", "f").remarks[0].sentence, "expected { alone in a line behind service a");
}

TEST(XinetdText, it_is_known_by_its_first_word) {
    EXPECT_TRUE(is_xinetd_text("# x\n\n  service a\n"));
    EXPECT_TRUE(is_xinetd_text("defaults\n{\n"));
    EXPECT_FALSE(is_xinetd_text("services stream tcp nowait root internal\n"));
    EXPECT_FALSE(is_xinetd_text(""));
}

}  // namespace
}  // namespace preforkd
