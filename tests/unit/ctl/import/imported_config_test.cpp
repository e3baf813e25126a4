#include "daemon/ctl/import/imported_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/import/imported.hpp"

namespace preforkd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string service(std::string_view name, std::string_view lines = "") {
    return "service " + std::string{name} + "\n{\nsocket_type = stream\nwait = no\nserver = /bin/cat\n" +
           std::string{lines} + "}\n";
}

TEST(ImportedConfig, services_that_are_off_are_named_and_not_served) {
    const std::string text = service("telnet", "disable = yes\n") + service("echo", "id = echo-stream\n");
    EXPECT_THAT(from_xinetd(text).text, HasSubstr("# telnet is disabled, f:1\n"));
    EXPECT_EQ(said_by(from_xinetd(text)).at(0), "[tcp://:7]");
    for (const char* const defaults : {"disabled = echo-stream", "enabled = echo", "enabled = telnet"})
        EXPECT_THAT(said_by(from_xinetd("defaults\n{\n" + std::string{defaults} + "\n}\n" + text)), testing::IsEmpty())
            << defaults;
    EXPECT_EQ(said_by(from_xinetd("defaults\n{\nenabled = echo-stream\n}\n" + text)).at(0), "[tcp://:7]");
}

TEST(ImportedConfig, an_endpoint_is_served_once) {
    const ImportedConfig made = from_xinetd(service("telnet") + service("x", "port = 23\n"));
    EXPECT_THAT(said_by(made), ElementsAre("[tcp://:23]", "program = /bin/cat"));
    EXPECT_THAT(lost_by(made), ElementsAre("f:7: x: tcp://:23 is served as f:1 says"));
}

TEST(ImportedConfig, nothing_to_serve_is_a_loss) {
    EXPECT_THAT(lost_by(from_xinetd("")), ElementsAre(": none of the files has a service that can be served"));
    EXPECT_THAT(said_by(from_xinetd("")), testing::IsEmpty());
}

TEST(ImportedConfig, that_hosts_allow_is_asked_no_more_is_said_once) {
    constexpr std::string_view sentence = "/etc/hosts.allow";
    EXPECT_THAT(from_telnet("").text, HasSubstr(sentence));
    EXPECT_THAT(from_telnet("flags = NOLIBWRAP").text, Not(HasSubstr(sentence)));
    EXPECT_THAT(from_inetd("telnet stream tcp nowait root /bin/cat\n").text, Not(HasSubstr(sentence)));
}

TEST(ImportedConfig, what_a_terminal_obeys_is_written_as_text) {
    const ImportedConfig made = from_xinetd(service("x\x1b[2J"));
    EXPECT_THAT(made.text, AllOf(Not(HasSubstr("\x1b")), HasSubstr("\\x1")));
}

}  // namespace
}  // namespace preforkd
