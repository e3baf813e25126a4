#include "daemon/ctl/import/merged_attributes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/import/imported.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsNull;

struct Merged {
    std::vector<OldAttribute> attributes{};
    std::vector<Remark> remarks{};

    [[nodiscard]] std::vector<std::string> operator[](std::string_view name) const {
        const OldAttribute* const found = find_attribute(attributes, name);
        return found == nullptr ? std::vector<std::string>{"(unset)"} : found->values;
    }
};

Merged merge(std::string_view defaults, std::string_view own) {
    const OldFiles files = as_files(
        parse_xinetd("defaults\n{\n" + std::string{defaults} + "}\nservice a\n{\n" + std::string{own} + "}\n", "f"));
    Merged merged;
    merged.attributes = merge_attributes(files.services[0], files.defaults, merged.remarks);
    return merged;
}

TEST(MergedAttributes, defaults_hold_for_what_a_service_does_not_say) {
    const Merged merged =
        merge("instances = 5\nper_source = 2\nbind = 192.0.2.1\n", "instances = 9\ninterface = ::1\n");
    EXPECT_THAT(merged["instances"], ElementsAre("9"));
    EXPECT_THAT(merged["per_source"], ElementsAre("2"));
    EXPECT_THAT(merged["bind"], ElementsAre("::1"));
    EXPECT_THAT(merged.remarks, IsEmpty());
}

TEST(MergedAttributes, sets_grow_and_shrink) {
    EXPECT_THAT(merge("only_from = a b\nonly_from = c\n", "")["only_from"], ElementsAre("a", "b", "c"));
    EXPECT_THAT(merge("only_from = a b\n", "only_from += d\nonly_from -= a\n")["only_from"], ElementsAre("b", "d"));
    EXPECT_THAT(merge("only_from = a b\n", "only_from = d\nonly_from += e\n")["only_from"], ElementsAre("d", "e"));
    EXPECT_THAT(merge("only_from = a b\n", "only_from =\n")["only_from"], IsEmpty());
}

TEST(MergedAttributes, the_first_of_any_other_holds_and_knows_no_other_operator) {
    const Merged merged = merge("", "nice = 1\nnice = 2\nuser += a\n");
    EXPECT_THAT(merged["nice"], ElementsAre("1"));
    EXPECT_THAT(merged["user"], ElementsAre("(unset)"));
    EXPECT_THAT(merged.remarks, ElementsAre(Remark{"f:7", "nice is set already, and xinetd heeds the first"},
                                            Remark{"f:8", "user knows = alone, and xinetd leaves this out"}));
}

TEST(MergedAttributes, which_services_there_are_is_no_attribute_of_one) {
    EXPECT_THAT(find_attribute(merge("disabled = b\nenabled = a\n", "").attributes, "disabled"), IsNull());
}

TEST(MergedAttributes, a_service_of_inetd_has_no_defaults) {
    OldFiles files = as_files(parse_inetd("telnet stream tcp nowait root /bin/cat\n", "f"));
    std::vector<Remark> remarks;
    const std::vector<OldAttribute> defaults{{.name = "instances", .values = {"1"}}};
    EXPECT_THAT(find_attribute(merge_attributes(files.services[0], defaults, remarks), "instances"), IsNull());
}

}  // namespace
}  // namespace preforkd
