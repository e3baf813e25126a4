#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/config/listen_settings.hpp"
#include "tests/unit/config/options_fixture.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

Invocation read(const std::string& text, Texts arguments = {}, const Texts& environment = {}) {
    const TextFile file{text};
    arguments.insert(arguments.begin(), {"-C", file.path()});
    Invocation invocation = read_options(arguments, environment);
    for (std::string& notice : invocation.notices)
        while (notice.find(file.path()) != notice.npos)
            notice.replace(notice.find(file.path()), file.path().size(), "FILE");
    return invocation;
}

TEST(ListenSection, its_lines_are_keys_of_its_endpoint) {
    const Settings settings = read(
                                  "workers = 3\n"
                                  "listen = :7 backlog=9\n"
                                  "[ tls://[::1]:443 ]  # to the world\n"
                                  "certificate = /c.pem\n"
                                  "key = \"/k.pem\"  # of the first\n"
                                  "certificate=/d.pem\n"
                                  "key = /l.pem\n"
                                  "[unix:///run/x]\n")
                                  .settings;
    EXPECT_EQ(settings.workers.max, 3);
    EXPECT_THAT(settings.listen,
                ElementsAre(parse_listen(":7 backlog=9"),
                            parse_listen("tls://[::1]:443 certificate=/c.pem key=/k.pem certificate=/d.pem key=/l.pem"),
                            parse_listen("unix:///run/x")));
    EXPECT_FALSE(settings.listen_is_default);
}

TEST(ListenSection, a_program_stands_there_as_it_is) {
    EXPECT_THAT(read("[:7]\nprogram = sh -c \"a %20 b\"  # c\n").settings.listen,
                ElementsAre(parse_listen(":7 program=sh%20-c%20\"a%20%2520%20b\"")));
    EXPECT_THAT(read("[:7]\nprogram = sh -c \"a %20 b\"\n").settings.listen.front().program,
                ElementsAre("sh", "-c", "a %20 b"));
}

TEST(ListenSection, what_is_wrong_is_named_with_its_own_line) {
    const std::string begin = "workers = 1\n[tcp://:80]\nbacklog = 5\n";
    EXPECT_THAT(file_refusal(begin + "blacklog = 5\n").sentence,
                StartsWith("FILE:4: listen: \"tcp://:80\": unknown key"));
    EXPECT_THAT(file_refusal(begin + "backlog = 6\n").sentence, HasSubstr("backlog= is given twice; keep one"));
    EXPECT_THAT(file_refusal(begin + "handler = a b\n").sentence,
                HasSubstr("FILE:4: listen: \"tcp://:80\": handler: "));
    EXPECT_THAT(file_refusal(begin + "spare = 2\n").sentence,
                StartsWith("FILE:4: listen: spare is no key of an endpoint; it belongs above the first section"));
    EXPECT_THAT(file_refusal(begin + "[tls://:443]\nkey = /k\n").sentence,
                StartsWith("FILE:4: listen: \"tls://:443\""));
    EXPECT_THAT(file_refusal(begin + "[tcp://]\n").sentence, StartsWith("FILE:4: listen: \"tcp://\""));
    EXPECT_THAT(file_refusal("[global]\n").sentence, StartsWith("FILE:1: listen: \"global\""));
    for (const char* head : {"[", "[]", "[ ]", "[tcp://:1", "[tcp://:1] x"})
        EXPECT_THAT(file_refusal(head).sentence, StartsWith("FILE:1: expected [ENDPOINT], not")) << head;
    EXPECT_EQ(file_refusal(begin + "blacklog = 5\n").code, ExitCode::Configuration);
    EXPECT_EQ(file_refusal(begin + "[unix:///run/x  max=3 mode=0660]\n").sentence,
              "FILE:4: listen: in brackets stands the endpoint alone: write [unix:///run/x], and \"max=3\" in a line "
              "below it");
    EXPECT_THAT(file_refusal("[web]\n").sentence, HasSubstr("tls://HOST:PORT, tls+unix:///PATH, tls+fd://NAME"));
}

TEST(ListenSection, an_endpoint_elsewhere_replaces_all_and_a_notice_names_them) {
    const std::string text = "listen = :7\n[tcp://:8]\n";
    const Invocation by_command_line = read(text, {"--listen", ":9"});
    EXPECT_THAT(by_command_line.settings.listen, ElementsAre(parse_listen(":9")));
    EXPECT_THAT(by_command_line.notices, ElementsAre("--listen replaces the endpoints at FILE:1, FILE:2"));
    EXPECT_THAT(read(text, {}, {"PREFORKD_LISTEN=:9"}).notices,
                ElementsAre("PREFORKD_LISTEN replaces the endpoints at FILE:1, FILE:2"));
    EXPECT_THAT(read(text).notices, IsEmpty());
    EXPECT_THAT(read("workers = 1\n", {"--listen", ":9"}).notices, IsEmpty());
}

}  // namespace
}  // namespace preforkd
