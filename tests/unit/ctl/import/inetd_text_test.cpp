#include "daemon/ctl/import/inetd_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/import/imported.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(InetdText, a_line_is_a_service) {
    const ImportedConfig made = from_inetd(
        "telnet stream tcp nowait nobody.tty /bin/cat cat -u -v\n"
        "tftp dgram udp wait a.b:c /bin/cat\n"
        "/run/x.sock stream unix nowait root /bin/cat cat\n"
        "echo dgram udp wait root internal\n");
    EXPECT_THAT(made.remarks, IsEmpty());
    EXPECT_THAT(said_by(made), ElementsAre("[tcp://:23]", "program = /bin/cat -u -v", "run-user = nobody",
                                           "run-group = tty", "[udp://:69]", "program = /bin/cat", "inetd = wait",
                                           "run-user = a.b", "run-group = c", "[unix:///run/x.sock]",
                                           "program = /bin/cat", "run-user = root", "[udp://:7]", "handler = echo"));
}

TEST(InetdText, an_address_stands_before_a_service_or_before_all_that_follow) {
    const ImportedConfig made = from_inetd(
        "127.0.0.1,[::1]:10 stream tcp nowait root internal\nlocalhost:\n11 stream tcp nowait a /bin/cat\n"
        "*:12 stream tcp nowait a /bin/cat\n");
    EXPECT_THAT(made.text,
                testing::AllOf(testing::HasSubstr("#[tcp://127.0.0.1:10]"), testing::HasSubstr("#[tcp://[::1]:10]"),
                               testing::HasSubstr("\n[tcp://localhost:11]"), testing::HasSubstr("\n[tcp://:12]")));
}

TEST(InetdText, a_protocol_names_a_family) {
    const ImportedConfig made = from_inetd(
        "1 stream tcp4 nowait a /bin/cat\n2 stream tcp6 nowait a /bin/cat\n3 stream tcp46 nowait a /bin/cat\n"
        "4 dgram udp6only,rcvbuf=64k wait a /bin/cat\n");
    EXPECT_THAT(made.remarks, IsEmpty());
    EXPECT_THAT(said_by(made),
                ElementsAre("[tcp://0.0.0.0:1]", "program = /bin/cat", "run-user = a", "[tcp://[::]:2]", "v6only = yes",
                            "program = /bin/cat", "run-user = a", "[tcp://[::]:3]", "v6only = no", "program = /bin/cat",
                            "run-user = a", "[udp://[::]:4]", "v6only = yes", "program = /bin/cat", "inetd = wait",
                            "rcvbuf = 64K", "run-user = a"));
}

TEST(InetdText, a_line_may_go_on_and_be_switched_off) {
    const ImportedConfig made = from_inetd(
        "#<off># telnet stream tcp nowait root /bin/cat\n# a comment\n5 stream tcp nowait a /bin/cat\n  cat -n\n");
    EXPECT_THAT(made.text, testing::HasSubstr("# telnet is disabled, f:1\n"));
    EXPECT_THAT(said_by(made), ElementsAre("[tcp://:5]", "program = /bin/cat -n", "run-user = a"));
}

TEST(InetdText, what_preforkd_cannot_do_is_named) {
    const ImportedConfig made = from_inetd(
        "5 stream tcp nowait.60 a /bin/cat\nrusers/1-3 dgram rpc/udp wait root /bin/cat\n"
        "tcpmux/+x stream tcp nowait root /bin/cat\n6 dgram udp nowait a /bin/cat\nnobody stream\n");
    EXPECT_THAT(
        lost_by(made),
        ElementsAre("f:5: expected SERVICE TYPE PROTOCOL wait|nowait USER PROGRAM [ARGUMENT...], not \"nobody stream\"",
                    "f:1: 5: nowait.: preforkd turns no service off; rate = N/s limits each address, and max = has "
                    "the others wait",
                    "f:2: rusers/1-3: type: preforkd serves no RPC services",
                    "f:3: tcpmux/+x: type: preforkd serves no TCPMUX services",
                    "f:4: 6: a program gets datagrams with the socket, which takes wait"));
    EXPECT_THAT(said_by(made), ElementsAre("[tcp://:5]", "program = /bin/cat", "run-user = a"));
}

TEST(InetdText, a_program_that_goes_by_its_name_is_called_by_it) {
    const ImportedConfig made = from_inetd("telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd -h\n");
    EXPECT_THAT(said_by(made),
                ElementsAre("[tcp://:23]",
                            R"(program = /bin/bash -c "exec -a \"$0\" \"$@\"" /usr/sbin/in.telnetd /usr/sbin/tcpd -h)",
                            "run-user = root"));
}

}  // namespace
}  // namespace preforkd
