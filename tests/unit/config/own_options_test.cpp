#include "common/config/own_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "options_fixture.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {
namespace {

using ::testing::HasSubstr;

std::vector<HandlerOption> kv_options() {
    Options own;
    own.add("banner-file", "FILE", "what to say").add("limit-2", "N", "how often", "3");
    return own.all();
}

Program kv() {
    return {.name = "kv", .handler = "kv", .greets = false, .version = "1.2", .options = OptionTable{kv_options()}};
}

std::string sentence_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::exception& error) { return error.what(); }
    return "";
}

TEST(OwnOptions, have_names_that_are_not_the_daemons) {
    Options own;
    for (const char* name : {"", "x", "Banner", "2nd", "-x", "x-", "a_b", "ünter"})
        EXPECT_THAT(sentence_of([&] { own.add(name, "X", ""); }), HasSubstr("expected small letters")) << name;
    EXPECT_THAT(sentence_of([&] { own.add("workers", "N", ""); }),
                HasSubstr("\"workers\": is an option of the daemon's"));
    EXPECT_THAT(sentence_of([&] { own.add("quiet", "", ""); }), HasSubstr("needs a name for --help"));
    EXPECT_TRUE(own.all().empty());
}

TEST(OwnOptions, of_several_handlers_are_one_list) {
    Handlers handlers;
    handlers.add({.name = "one", .options = {{.name = "shared", .argument = "A"}, {.name = "mine", .argument = "B"}}});
    handlers.add({.name = "two", .options = {{.name = "shared", .argument = "C"}}});
    const std::vector<HandlerOption> all = own_options_of(handlers);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].argument, "A");
    EXPECT_EQ(all[1].name, "mine");
}

TEST(OwnOptions, are_given_to_the_handler_that_has_declared_them) {
    const HandlerEntry entry{.name = "kv", .options = kv_options()};
    const HandlerOptions options =
        options_for(entry, Settings{.greeting = "hi", .own = {{"banner-file", "here"}, {"another's", "x"}}});
    EXPECT_EQ(options.greeting, "hi");
    EXPECT_EQ(options["banner-file"], "here");
    EXPECT_EQ(options["limit-2"], "3") << "its standard";
    EXPECT_THROW((void)options["another's"], std::out_of_range);
}

TEST(OwnOptions, are_read_as_all_others_are) {
    const Invocation given = read_options({"--banner-file", "a", "--limit-2=5"}, {}, kv());
    EXPECT_EQ(given.settings.own.at("banner-file"), "a");
    EXPECT_EQ(given.settings.own.at("limit-2"), "5");
    EXPECT_EQ(read_options({}, {"PREFORKD_LIMIT_2=7"}, kv()).settings.own.at("limit-2"), "7");
    const TextFile file{"banner-file = \"two words\"\n"};
    EXPECT_EQ(read_options({"-C", file.path()}, {}, kv()).settings.own.at("banner-file"), "two words");
    EXPECT_TRUE(read_options({}, {}, kv()).settings.own.empty());
    EXPECT_THROW((void)read_options({"--banner-file", "a"}, {}), OperatorError) << "of another program";
    EXPECT_THROW((void)read_options({"--banner-file", "a", "--banner-file", "b"}, {}, kv()), OperatorError);
}

TEST(OwnOptions, are_printed_and_read_back) {
    const Program program = kv();
    const std::string text =
        read_options({"--print-config", "--banner-file", "two  words"}, {}, program).printed_config;
    EXPECT_THAT(text, HasSubstr("\nbanner-file = two  words  # command line\nlimit-2 = 3  # default\n"));
    const TextFile file{text};
    EXPECT_EQ(read_options({"-C", file.path()}, {}, program).settings.own.at("banner-file"), "two  words");
}

TEST(OwnOptions, make_a_difference_to_a_reload) {
    EXPECT_FALSE(same_settings(Settings{.own = {{"word", "a"}}}, Settings{.own = {{"word", "b"}}}));
    EXPECT_TRUE(same_settings(Settings{.own = {{"word", "a"}}}, Settings{.own = {{"word", "a"}}}));
}

TEST(OwnOptions, are_in_help_and_the_version_is_the_programs) {
    EXPECT_THAT(help_text(kv()), HasSubstr("\nThe handler:\n      --banner-file FILE"));
    EXPECT_THAT(help_text(kv()), HasSubstr("how often (default: 3)\n"));
    EXPECT_THAT(version_text(kv()), HasSubstr("kv 1.2 (preforkd "));
}

}  // namespace
}  // namespace preforkd
