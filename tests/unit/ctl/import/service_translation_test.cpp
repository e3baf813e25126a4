#include "daemon/ctl/import/service_translation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/import/imported.hpp"

namespace preforkd {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// What a service has below its program.
std::vector<std::string> keys_of(std::string_view lines) {
    const ImportedConfig made = from_telnet(lines);
    EXPECT_THAT(made.remarks, IsEmpty()) << lines;
    std::vector<std::string> said = said_by(made);
    EXPECT_GE(said.size(), 2u) << lines;
    said.erase(said.begin(), said.begin() + 2);
    return said;
}

/// What is lost by a service that is served all the same.
std::string loss_of(std::string_view lines) {
    const ImportedConfig made = from_telnet(lines);
    EXPECT_THAT(said_by(made), Contains("[tcp://:23]")) << lines;
    EXPECT_EQ(made.remarks.size(), 1u) << lines;
    return made.remarks.empty() ? "" : made.remarks[0].sentence;
}

/// Why a service is not served; it is there as comments.
std::string why_withheld(std::string_view lines) {
    const ImportedConfig made = from_telnet(lines);
    EXPECT_THAT(said_by(made), IsEmpty()) << lines;
    EXPECT_THAT(made.text, HasSubstr("\n#[tcp://:23]\n#program = /bin/cat\n")) << lines;
    return made.remarks.empty() ? "" : made.remarks[0].sentence;
}

TEST(ServiceTranslation, a_process_is_what_it_was) {
    EXPECT_THAT(
        keys_of("user = nobody\ngroup = tty\nnice = -5\numask = 27\nenv = A=b C=d\nenv += A=e\ngroups = yes"),
        ElementsAre("run-user = nobody", "run-group = tty", "nice = -5", "umask = 0027", "env = A=b", "env = C=d"));
    EXPECT_THAT(
        keys_of("rlimit_as = 8M\nrlimit_files = 64\nrlimit_cpu = 20\nrlimit_data = UNLIMITED\nrlimit_stack = 64K"),
        ElementsAre("limit-as = 8388608", "limit-nofile = 64", "limit-cpu = 20", "limit-data = infinity",
                    "limit-stack = 65536"));
    EXPECT_THAT(keys_of("rlimit_rss = 8M"), IsEmpty());
}

TEST(ServiceTranslation, clients_are_limited_as_they_were) {
    EXPECT_THAT(keys_of("only_from = 192.0.2.0 localhost\nno_access = 192.0.2.66\nper_source = 3\ninstances = 9"),
                ElementsAre("allow = 192.0.2.0/24,127.0.0.1,::1", "deny = 192.0.2.66", "per-source = 3", "max = 9"));
    EXPECT_THAT(keys_of("per_source = UNLIMITED\ninstances = UNLIMITED"), IsEmpty());
}

TEST(ServiceTranslation, programs_that_a_worker_may_have_at_once_are_as_many_as_a_service_may) {
    EXPECT_THAT(from_telnet("instances = 60").text, HasSubstr("\nconnections = 60  #"));
    EXPECT_THAT(from_telnet("instances = 40").text, Not(HasSubstr("connections")));
}

TEST(ServiceTranslation, a_program_has_its_arguments_and_perhaps_another_name) {
    const auto program_of = [](std::string_view lines) {
        const std::string name = "service telnet\n{\nsocket_type = stream\nwait = no\n";
        const std::vector<std::string> said = said_by(from_xinetd(name + std::string{lines} + "\n}\n"));
        return said.size() < 2 ? "" : said[1];
    };
    EXPECT_EQ(program_of("server = /bin/cat\nserver_args = -u \"a"), R"(program = /bin/cat -u "\"a")");
    EXPECT_EQ(program_of("server = /bin/cat\nserver_args = cat -u\nflags = NAMEINARGS"), "program = /bin/cat -u");
    EXPECT_THAT(program_of("server = /usr/sbin/tcpd\nserver_args = /usr/sbin/in.telnetd\nflags = NAMEINARGS"),
                HasSubstr("exec -a"));
    EXPECT_EQ(program_of("redirect = 192.0.2.1 23"), "program = /usr/bin/socat -t 86400 - TCP:192.0.2.1:23");
    EXPECT_EQ(program_of("redirect = 2001:db8::1 23\nserver = /bin/cat"),
              "program = /usr/bin/socat -t 86400 - TCP:[2001:db8::1]:23");
}

TEST(ServiceTranslation, it_listens_where_it_did) {
    const auto endpoint_of = [](std::string_view lines) { return said_by(from_telnet(lines)).at(0); };
    EXPECT_EQ(endpoint_of(""), "[tcp://:23]");
    EXPECT_EQ(endpoint_of("port = 2323\ntype = UNLISTED"), "[tcp://:2323]");
    EXPECT_EQ(endpoint_of("bind = 192.0.2.1"), "[tcp://192.0.2.1:23]");
    EXPECT_EQ(endpoint_of("interface = 2001:db8::1"), "[tcp://[2001:db8::1]:23]");
    EXPECT_EQ(endpoint_of("flags = IPv4 REUSE"), "[tcp://0.0.0.0:23]");
    EXPECT_EQ(endpoint_of("flags = IPv6"), "[tcp://:23]");
    EXPECT_THAT(said_by(from_telnet("v6only = yes")), AllOf(Contains("[tcp://[::]:23]"), Contains("v6only = yes")));
    EXPECT_THAT(said_by(from_telnet("flags = KEEPALIVE")), Contains("keepalive = yes"));
}

TEST(ServiceTranslation, one_that_waits_gets_the_socket) {
    const std::string_view tftp =
        "service tftp\n{\nsocket_type = dgram\nwait = yes\nuser = nobody\nserver = /bin/cat\ninstances = 1\n"
        "per_source = 1\nlog_on_success = EXIT\n";
    EXPECT_THAT(said_by(from_xinetd(std::string{tftp} + "}\n")),
                ElementsAre("[udp://:69]", "program = /bin/cat", "inetd = wait", "run-user = nobody"));
    EXPECT_THAT(said_by(from_xinetd(std::string{tftp} + "only_from = 192.0.2.0\n}\n")), IsEmpty());
}

TEST(ServiceTranslation, a_built_in_one_is_a_handler) {
    const std::string_view echo =
        "{\ntype = INTERNAL\nsocket_type = dgram\nwait = yes\nuser = root\ninstances = 1\n}\n";
    EXPECT_THAT(said_by(from_xinetd("service echo\n" + std::string{echo})),
                ElementsAre("[udp://:7]", "handler = echo"));
    EXPECT_THAT(lost_by(from_xinetd("service telnet\n{\ntype = INTERNAL\nsocket_type = stream\nwait = no\n}\n")),
                Contains(HasSubstr("telnet: type: preforkd has no built-in service \"telnet\"")));
}

TEST(ServiceTranslation, what_has_no_counterpart_is_named_where_it_stands) {
    EXPECT_THAT(loss_of("cps = 25 30"), HasSubstr("telnet: cps: preforkd turns no service off"));
    EXPECT_THAT(loss_of("log_type = SYSLOG daemon"), HasSubstr("log_type: "));
    EXPECT_THAT(loss_of("log_on_failure = HOST USERID"), HasSubstr("log_on_failure: "));
    EXPECT_THAT(loss_of("colour = red"), HasSubstr("colour: unknown"));
    EXPECT_THAT(loss_of("only_from = 192.0.2.1 host.example"), HasSubstr("\"host.example\" needs its address"));
    EXPECT_THAT(loss_of("nice = a"), HasSubstr("nice: expected a number"));
    EXPECT_THAT(loss_of("umask = 9"), HasSubstr("umask: expected"));
    EXPECT_THAT(loss_of("instances = 0"), HasSubstr("instances: expected"));
    EXPECT_THAT(loss_of("rlimit_as = 8G"), HasSubstr("rlimit_as: expected"));
    EXPECT_EQ(from_telnet("cps = 25 30").remarks[0].place, "f:6");
    EXPECT_THAT(from_telnet("cps = 25 30").text, HasSubstr("\n# f:6: telnet: cps: "));
}

TEST(ServiceTranslation, what_kept_clients_out_keeps_the_service_back) {
    EXPECT_THAT(why_withheld("access_times = 2:00-9:00"), HasSubstr("access_times: "));
    EXPECT_THAT(why_withheld("no_access = .example.org"), HasSubstr("no_access: "));
    EXPECT_THAT(why_withheld("only_from = host.example"), HasSubstr("only_from: "));
    EXPECT_THAT(why_withheld("only_from ="), HasSubstr("only_from: as it stands here, it admits nobody"));
    EXPECT_THAT(why_withheld("flags = SENSOR"), HasSubstr("flags: preforkd has nothing like SENSOR"));
}

TEST(ServiceTranslation, what_is_no_service_of_preforkd_has_no_endpoint) {
    const auto why_not = [](const std::string& name, const std::string& lines) {
        const ImportedConfig made = from_xinetd("service " + name + "\n{\nserver = /bin/cat\n" + lines + "}\n");
        EXPECT_THAT(made.text, Not(HasSubstr("["))) << name;
        return made.remarks.at(0).sentence;
    };
    EXPECT_THAT(why_not("rstatd", "type = RPC\n"), HasSubstr("no RPC services"));
    EXPECT_THAT(why_not("telnet", "socket_type = raw\n"), HasSubstr("no raw sockets"));
    EXPECT_THAT(why_not("telnet", "socket_type = stream\nprotocol = sctp\n"), HasSubstr("no stream over sctp"));
    EXPECT_THAT(why_not("nothing", "socket_type = stream\n"), HasSubstr("none over tcp is called \"nothing\""));
    EXPECT_THAT(why_not("telnet", "bind = a!b\n"), HasSubstr("bind: "));
}

}  // namespace
}  // namespace preforkd
