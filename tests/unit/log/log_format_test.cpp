// The lines as they look: text, JSON, journal; what a client may put into them, and what happens at 4095 bytes.
#include "common/log/log_format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/property_tree/json_parser.hpp>
#include <boost/property_tree/ptree.hpp>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "common/log/journal_record.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using boost::property_tree::ptree;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view stamp = "2026-11-22T16:02:11.123Z";
constexpr std::size_t most_bytes = 4095;  // PIPE_BUF, less a newline before it

std::string text(std::string_view sentence, std::vector<LogField> fields = {}, int worker = 0) {
    return std::string{format_text({.sentence = sentence, .fields = fields, .pid = 7, .worker = worker}, stamp).view()};
}

std::string json(std::string_view sentence, std::vector<LogField> fields = {}, int worker = 0) {
    return std::string{format_json({.sentence = sentence, .fields = fields, .pid = 7, .worker = worker}, stamp).view()};
}

std::string journal(std::string_view sentence, std::vector<LogField> fields = {}, int worker = 0) {
    return std::string{format_journal({.sentence = sentence, .fields = fields, .pid = 7, .worker = worker}).view()};
}

ptree read(const std::string& line) {
    std::istringstream stream{line};
    ptree tree;
    boost::property_tree::read_json(stream, tree);
    return tree;
}

/// Reads a record as journald does.  Throws when it is malformed.
std::multimap<std::string, std::string> read_journal(std::string_view record) {
    std::multimap<std::string, std::string> fields;
    while (!record.empty()) {
        const std::size_t newline = record.find('\n');
        const std::size_t equals = record.substr(0, newline).find('=');
        if (equals != std::string_view::npos) {
            fields.emplace(record.substr(0, equals), record.substr(equals + 1, newline - equals - 1));
            record.remove_prefix(newline + 1);
            continue;
        }
        std::uint64_t size = 0;
        for (std::size_t at = 8; at > 0; --at) size = size << 8 | static_cast<unsigned char>(record.at(newline + at));
        if (record.at(newline + 9 + size) != '\n') throw std::runtime_error{"the size does not meet the end"};
        fields.emplace(record.substr(0, newline), record.substr(newline + 9, size));
        record.remove_prefix(newline + 10 + size);
    }
    return fields;
}

/// Every byte that is no character by itself, and the characters that can deceive.
std::vector<std::string> hostile_texts() {
    std::vector<std::string> all;
    for (int byte = 0; byte < 0x20; ++byte) all.emplace_back(1, static_cast<char>(byte));
    for (int byte = 0x7f; byte < 0x100; ++byte) all.emplace_back(1, static_cast<char>(byte));
    for (int low = 0x80; low < 0xa0; ++low) all.push_back("\xc2"s + static_cast<char>(low));
    for (const char* each :
         {"\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6", "\xef\xbb\xbf"})
        all.emplace_back(each);
    for (const char* each : {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\xc3"}) {
        all.emplace_back(each);
    }
    return all;
}

bool printable(std::string_view line) {
    return std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

TEST(LogTimestamp, shows_utc_with_milliseconds) {
    LogTimestamp timestamp;
    const std::chrono::sys_seconds second{std::chrono::seconds{1'795'363'331}};
    EXPECT_EQ(timestamp.text(second + 123ms), stamp);
    EXPECT_EQ(timestamp.text(second + 999'999us), "2026-11-22T16:02:11.999Z");
    EXPECT_EQ(timestamp.text(second + 1s), "2026-11-22T16:02:12.000Z");
    EXPECT_EQ(timestamp.text(std::chrono::sys_days{std::chrono::February / 29 / 2028}), "2028-02-29T00:00:00.000Z");
    EXPECT_EQ(timestamp.text(second + 7ms), "2026-11-22T16:02:11.007Z");
}

TEST(LogText, is_time_level_sentence_and_fields) {
    EXPECT_EQ(text("ready"), "2026-11-22T16:02:11.123Z info    ready\n");
    EXPECT_EQ(text("got", {{"peer", "127.0.0.1:80"sv}, {"bytes", std::uint64_t{7}}, {"delta", std::int64_t{-3}}}, 3),
              "2026-11-22T16:02:11.123Z info    worker 3: got peer=127.0.0.1:80 bytes=7 delta=-3\n");
    const LogRecord warning{.level = LogLevel::Warning, .sentence = "so"};
    EXPECT_EQ(format_text(warning, stamp).view(), "2026-11-22T16:02:11.123Z warning so\n");
}

TEST(LogSentence, has_the_values_of_the_fields_that_it_names_in_every_format) {
    const std::vector<LogField> fields{
        {"peer", "127.0.0.1:80"sv}, {"bytes", std::uint64_t{7}}, {"delta", std::int64_t{-3}}, {"load", 0.5}};
    constexpr std::string_view sentence = "{peer} sent {bytes} bytes ({delta}, {load})";
    constexpr std::string_view expanded = "127.0.0.1:80 sent 7 bytes (-3, 0.5)";
    EXPECT_EQ(text(sentence, fields), "2026-11-22T16:02:11.123Z info    " + std::string{expanded} +
                                          " peer=127.0.0.1:80 bytes=7 delta=-3 load=0.5\n");
    EXPECT_EQ(read(json(sentence, fields)).get<std::string>("message"), expanded);
    EXPECT_EQ(read(json(sentence, fields)).get<std::string>("peer"), "127.0.0.1:80");
    const auto record = read_journal(journal(sentence, fields));
    EXPECT_EQ(record.find("MESSAGE")->second, expanded);
    EXPECT_EQ(record.find("PREFORKD_BYTES")->second, "7");
}

TEST(LogSentence, keeps_a_brace_that_names_no_field) {
    EXPECT_THAT(text("{} {a {b} {c} a}", {{"b", "x"sv}}), HasSubstr("info    {} {a x {c} a} b=x\n"));
    EXPECT_THAT(text("{a}{a}{", {{"a", "x"sv}}), HasSubstr("info    xx{ a=x\n"));
    EXPECT_THAT(text("{a}"), HasSubstr("info    {a}\n"));
}

TEST(LogSentence, takes_the_braces_of_a_value_as_text_and_escapes_it) {
    const std::vector<LogField> fields{{"said", "{peer}\n\x1b\""sv}, {"peer", "p"sv}};
    EXPECT_THAT(text("{peer}: {said}", fields), HasSubstr(R"(info    p: {peer}\n\x1b" said=)"));
    EXPECT_EQ(read(json("{peer}: {said}", fields)).get<std::string>("message"), "p: {peer}\n\x1b\"");
    EXPECT_EQ(read_journal(journal("{peer}: {said}", fields)).find("MESSAGE")->second, R"(p: {peer}\n\x1b")");
}

TEST(LogSentence, leaves_space_for_the_fields) {
    const std::string long_text(1900, 'x');
    const std::vector<LogField> fields{{"said", long_text}, {"after", "here"sv}};
    EXPECT_THAT(text("said {said}", fields), AllOf(EndsWith("xxx after=here\n"), Not(HasSubstr("..."))));
    EXPECT_THAT(json("said {said}", fields), AllOf(HasSubstr("here"), Not(HasSubstr("cut"))));
    for (const std::size_t size : {2048, 2500}) {
        const std::string longer(size, 'x');
        const ptree line = read(json("said {said}", {{"after", "here"sv}, {"said", longer}}));
        EXPECT_EQ(line.get<std::string>("after"), "here");
        EXPECT_THAT(line.get<std::string>("message"), EndsWith("xxx..."));
        EXPECT_TRUE(line.get<bool>("cut"));
        EXPECT_THAT(journal("said {said}", {{"after", "here"sv}, {"said", longer}}),
                    AllOf(HasSubstr("PREFORKD_AFTER=here\n"), EndsWith("PREFORKD_CUT=1\n")));
    }
}

std::string terminal(std::string_view sentence, std::vector<LogField> fields, int worker = 0, bool coloured = false,
                     LogLevel level = LogLevel::Info) {
    const LogRecord record{.level = level, .sentence = sentence, .fields = fields, .pid = 7, .worker = worker};
    return std::string{format_terminal(record, stamp, coloured).view()};
}

TEST(LogTerminal, a_sentence_that_names_fields_stands_alone) {
    EXPECT_EQ(terminal("got {a}", {{"a", "x"sv}, {"b", "y"sv}}, 3),
              "2026-11-22T16:02:11.123Z info    worker 3: got x\n");
    EXPECT_EQ(terminal("got", {{"a", "x"sv}, {"b", "y"sv}}), "2026-11-22T16:02:11.123Z info    got a=x b=y\n");
}

TEST(LogTerminal, colours_the_level_and_nothing_that_is_told) {
    EXPECT_EQ(terminal("bad {a}", {{"a", "\x1b[31m"sv}}, 0, true, LogLevel::Error),
              "\x1b[2m2026-11-22T16:02:11.123Z\x1b[0m \x1b[1;31merror\x1b[0m   bad \\x1b[31m\n");
    EXPECT_EQ(terminal("good", {}, 0, true), "\x1b[2m2026-11-22T16:02:11.123Z\x1b[0m info    good\n");
}

TEST(LogText, quotes_a_value_that_is_no_word) {
    EXPECT_THAT(text("s", {{"a", "two words"sv}}), EndsWith(" a=\"two words\"\n"));
    EXPECT_THAT(text("s", {{"a", ""sv}}), EndsWith(" a=\"\"\n"));
    EXPECT_THAT(text("s", {{"a", "x=y"sv}}), EndsWith(" a=\"x=y\"\n"));
    EXPECT_THAT(text("s", {{"a", R"(say "hi" \o/)"sv}}), EndsWith(R"( a="say \"hi\" \\o/")"
                                                                  "\n"));
}

TEST(LogText, escapes_what_could_forge_a_line_or_reach_a_terminal) {
    EXPECT_EQ(text("a\nb\r\x1b[31m\x7f"), "2026-11-22T16:02:11.123Z info    a\\nb\\r\\x1b[31m\\x7f\n");
    EXPECT_THAT(text("s", {{"said", "\xc2\x9b\xff"sv}}), EndsWith(" said=\"\\xc2\\x9b\\xff\"\n"));
    for (const std::string& hostile : hostile_texts()) {
        std::string line = text("x" + hostile + "y", {{"field", hostile}, {hostile, "value"sv}}, 3);
        EXPECT_EQ(line.back(), '\n');
        line.pop_back();
        EXPECT_TRUE(printable(line)) << testing::PrintToString(line);
        EXPECT_THAT(line, AllOf(HasSubstr("info    worker 3: x\\"), HasSubstr("y field=\"\\")));
    }
}

TEST(LogText, keeps_other_languages_readable) {
    EXPECT_THAT(text("größer 漢字 😀"), EndsWith("info    größer 漢字 😀\n"));
}

TEST(LogText, keeps_the_backslashes_with_which_a_sentence_quotes) {
    EXPECT_THAT(text(R"(--greeting: not "a\"b\\c")"), EndsWith(R"(info    --greeting: not "a\"b\\c")"
                                                               "\n"));
}

TEST(LogText, escapes_values_so_that_the_original_can_be_told) {
    EXPECT_THAT(text("s", {{"said", "\\n and \n"sv}}), EndsWith(R"( said="\\n and \n")"
                                                                "\n"));
}

TEST(LogJson, carries_everything_by_name) {
    EXPECT_EQ(json("ready", {{"bytes", std::uint64_t{7}}, {"peer", "a b"sv}, {"load", 0.5}}, 3),
              R"({"time":"2026-11-22T16:02:11.123Z","level":"info","pid":7,"worker":3,"message":"ready",)"
              R"("bytes":7,"peer":"a b","load":0.5})"
              "\n");
}

TEST(LogJson, stays_valid_whatever_the_text_is) {
    for (const std::string& hostile : hostile_texts()) {
        std::string line = json("x" + hostile + "y", {{"field", hostile}, {"last", "\"\\"sv}});
        EXPECT_EQ(line.back(), '\n');
        line.pop_back();
        EXPECT_TRUE(printable(line)) << testing::PrintToString(line);
        EXPECT_EQ(read(line).get<std::string>("last"), "\"\\");
    }
    EXPECT_THAT(json("\xff"), HasSubstr(R"("message":"\ufffd")"));
    EXPECT_EQ(read(json("größer \xc2\x9b\n")).get<std::string>("message"), "größer \xc2\x9b\n");
    EXPECT_THAT(json("größer \xc2\x9b\x1b"), HasSubstr("größer \\u009b\\u001b"));
}

TEST(LogJson, writes_numbers_that_json_does_not_have_as_text) {
    const auto line = json("s", {{"a", std::numeric_limits<double>::infinity()},
                                 {"b", std::numeric_limits<double>::quiet_NaN()},
                                 {"c", std::numeric_limits<std::int64_t>::min()},
                                 {"d", std::numeric_limits<std::uint64_t>::max()}});
    EXPECT_THAT(line, HasSubstr(R"("a":"inf","b":"nan","c":-9223372036854775808,"d":18446744073709551615})"));
}

TEST(LogJson, never_has_a_key_twice_when_a_field_names_another_process) {
    const auto line = json("worker died", {{"worker", std::int64_t{3}}, {"pid", std::int64_t{99}}});
    EXPECT_EQ(line, R"({"time":"2026-11-22T16:02:11.123Z","level":"info","message":"worker died",)"
                    R"("worker":3,"pid":99})"
                    "\n");
}

TEST(LogCut, a_line_never_exceeds_what_one_write_can_hold) {
    const std::vector<std::string_view> units{"x"sv, "\n"sv, "\xff"sv, "ß"sv, "😀"sv, "\""sv};
    for (std::size_t size = most_bytes - 500; size < most_bytes + 10; ++size) {
        std::string long_text;
        while (long_text.size() < size) long_text += units[size % units.size()];
        const std::vector<LogField> fields{
            {"first", "two words"sv}, {"second", std::uint64_t{77}}, {"third", long_text}};
        for (const std::string_view sentence : {"s"sv, std::string_view{long_text}}) {
            for (const std::string& line : {text(sentence, fields), json(sentence, fields)}) {
                EXPECT_LE(line.size(), most_bytes);
                EXPECT_EQ(line.find('\n'), line.size() - 1);
            }
            EXPECT_NO_THROW(read(json(sentence, fields)));
            const std::string record = journal(sentence, fields);
            EXPECT_LE(record.size(), most_bytes);
            EXPECT_NO_THROW(read_journal(record));
        }
    }
}

TEST(LogCut, a_cut_is_marked) {
    const std::string long_text(5000, 'x');
    EXPECT_THAT(text(long_text), EndsWith("xxx...\n"));
    EXPECT_THAT(text("s", {{"a", "two " + long_text}}), EndsWith("xxx...\n"));
    const ptree message_cut = read(json(long_text, {{"a", "b"sv}}));
    EXPECT_THAT(message_cut.get<std::string>("message"), EndsWith("xxx..."));
    EXPECT_TRUE(message_cut.get<bool>("cut"));
    EXPECT_EQ(message_cut.get<std::string>("a"), "b");
    const ptree field_cut = read(json("s", {{"a", "b"sv}, {"long", long_text}, {"c", "d"sv}}));
    EXPECT_EQ(field_cut.get<std::string>("a"), "b");
    EXPECT_THAT(field_cut.get<std::string>("long"), EndsWith("xxx..."));
    EXPECT_TRUE(field_cut.get<bool>("cut"));
    EXPECT_THAT(journal(long_text), EndsWith("xxx...\nPREFORKD_CUT=1\n"));
}

TEST(LogCut, a_line_that_fits_is_not_marked) {
    const std::string long_text(3900, 'x');
    EXPECT_THAT(text(long_text), Not(HasSubstr("...")));
    EXPECT_THAT(json(long_text), Not(HasSubstr("cut")));
    EXPECT_THAT(journal(long_text), Not(HasSubstr("CUT")));
}

TEST(JournalRecord, has_the_fields_of_the_native_protocol) {
    EXPECT_EQ(journal("ready", {{"peer", "a b"sv}, {"bytes", std::uint64_t{7}}}, 3),
              "PRIORITY=6\nSYSLOG_IDENTIFIER=preforkd\nPREFORKD_WORKER=3\nMESSAGE=ready\nPREFORKD_PEER=a b\n"
              "PREFORKD_BYTES=7\n");
    const LogRecord error{.level = LogLevel::Error, .sentence = "no"};
    EXPECT_THAT(std::string{format_journal(error).view()}, testing::StartsWith("PRIORITY=3\n"));
}

TEST(JournalRecord, a_value_with_newlines_stands_behind_its_size) {
    const std::string record = journal("s", {{"stack", "one\ntwo\n"sv}, {"after", "x"sv}});
    EXPECT_THAT(record, HasSubstr("PREFORKD_STACK\n\x08\0\0\0\0\0\0\0one\ntwo\n\nPREFORKD_AFTER=x\n"s));
    const auto fields = read_journal(record);
    EXPECT_EQ(fields.find("PREFORKD_STACK")->second, "one\ntwo\n");
    EXPECT_EQ(fields.find("PREFORKD_AFTER")->second, "x");
}

TEST(JournalRecord, nothing_in_a_text_becomes_a_field) {
    const auto fields =
        read_journal(journal("hi\nPRIORITY=0", {{"said", "x\nPRIORITY=0\n\x1b["sv}, {"A\n=\xc3\xa4", "v"sv}}));
    EXPECT_EQ(fields.count("PRIORITY"), 1);
    EXPECT_EQ(fields.find("MESSAGE")->second, "hi\\nPRIORITY=0");
    EXPECT_EQ(fields.find("PREFORKD_SAID")->second, "x\nPRIORITY=0\n\\x1b[");
    EXPECT_EQ(fields.find("PREFORKD_A____")->second, "v");
}

TEST(JournalRecord, a_name_is_cut_where_journald_would_drop_the_field) {
    const auto fields = read_journal(journal("s", {{std::string(100, 'n'), "v"sv}}));
    EXPECT_EQ(fields.count("PREFORKD_" + std::string(55, 'N')), 1);
}

}  // namespace
}  // namespace preforkd
