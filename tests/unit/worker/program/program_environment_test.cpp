#include "daemon/worker/program/program_environment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preforkd {
namespace {

using ::testing::Contains;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

using Lines = std::vector<std::string>;

Lines lines_of(char* const* environment) {
    Lines lines;
    for (; *environment != nullptr; ++environment) lines.emplace_back(*environment);
    return lines;
}

Lines environment_for(const ConnectionFacts& facts, const Lines& daemon = {}) {
    ProgramEnvironment environment{daemon};
    return lines_of(environment.of(facts));
}

const Endpoint tcp_local = parse_endpoint("tcp://192.0.2.1:80");
const Endpoint tcp_peer = parse_endpoint("tcp://198.51.100.7:4321");
const ConnectionFacts tcp{.local = tcp_local, .peer = tcp_peer, .same_host = 3};

const Endpoint unix_local = parse_endpoint("unix:///run/x");
const Endpoint unix_peer = parse_endpoint("unix://@me");
const Endpoint unnamed{.transport = Transport::Unix};

TEST(ProgramEnvironment, a_tcp_connection_is_told_in_the_words_of_every_super_server) {
    EXPECT_THAT(environment_for(tcp),
                UnorderedElementsAre("PROTO=TCP", "TCPLOCALIP=192.0.2.1", "TCPLOCALPORT=80", "TCPREMOTEIP=198.51.100.7",
                                     "TCPREMOTEPORT=4321", "TCPCONNNUM=3", "REMOTE_HOST=198.51.100.7",
                                     "REMOTE_ADDR=198.51.100.7", "REMOTE_PORT=4321", "SERVER_ADDR=192.0.2.1",
                                     "SERVER_PORT=80"));
}

TEST(ProgramEnvironment, an_ipv6_address_has_no_brackets) {
    const Endpoint local = parse_endpoint("tcp://[::1]:80");
    EXPECT_THAT(environment_for({.local = local, .peer = tcp_peer}), IsSupersetOf({"PROTO=TCP", "TCPLOCALIP=::1"}));
}

TEST(ProgramEnvironment, a_unix_connection_is_told_with_who_is_at_its_other_end) {
    EXPECT_THAT(
        environment_for(
            {.local = unix_local, .peer = unnamed, .identity = PeerIdentity{.user = 1000, .group = 100, .pid = 42}}),
        UnorderedElementsAre("PROTO=UNIX", "UNIXLOCALPATH=/run/x", "UNIXREMOTEEUID=1000", "UNIXREMOTEEGID=100",
                             "UNIXREMOTEPID=42"));
}

TEST(ProgramEnvironment, a_unix_client_with_an_address_is_told_by_it) {
    EXPECT_THAT(environment_for({.local = unix_local, .peer = unix_peer}),
                UnorderedElementsAre("PROTO=UNIX", "UNIXLOCALPATH=/run/x", "UNIXREMOTEPATH=@me", "REMOTE_ADDR=@me"));
}

TEST(ProgramEnvironment, the_daemons_variables_come_along) {
    EXPECT_THAT(environment_for(tcp, {"PATH=/bin", "EMPTY=", "TCP_WINDOW=1", "UNIXISH=2", "SSL_CERT_DIR=/etc"}),
                IsSupersetOf({"PATH=/bin", "EMPTY=", "TCP_WINDOW=1", "UNIXISH=2", "SSL_CERT_DIR=/etc"}));
}

TEST(ProgramEnvironment, what_the_daemon_alone_was_told_does_not) {
    const Lines lines =
        environment_for(tcp, {"LISTEN_FDS=3", "LISTEN_PID=1", "LISTEN_FDNAMES=a", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1",
                              "WATCHDOG_PID=1", "PREFORKD_LISTEN=:1", "JOURNAL_STREAM=8:1", "FDSTORE=5"});
    EXPECT_EQ(lines.size(), 11U) << ::testing::PrintToString(lines);
}

TEST(ProgramEnvironment, a_connection_that_the_daemon_itself_was_told_of_is_not_this_one) {
    const Lines lines = environment_for(
        tcp, {"TCPREMOTEINFO=root", "TCP6REMOTEIP=::1", "TCPLOCALHOST=x", "UNIXREMOTEEUID=0", "SSLREMOTEIP=1.2.3.4",
              "REMOTE_USER=root", "REMOTE_ADDR=1.2.3.4", "PROTO=SSL", "TCPCONCURRENCY=9", "TCP6INTERFACE=lo"});
    EXPECT_EQ(lines.size(), 11U) << ::testing::PrintToString(lines);
    EXPECT_THAT(lines, Contains("REMOTE_ADDR=198.51.100.7"));
}

TEST(ProgramEnvironment, of_no_connection_there_is_what_the_daemon_has) {
    ProgramEnvironment environment{std::vector<std::string>{"COLOUR=red", "TCPREMOTEIP=forged"}};
    (void)environment.of(tcp);
    EXPECT_EQ(lines_of(environment.of_no_connection()), Lines{"COLOUR=red"});
}

TEST(ProgramEnvironment, nothing_of_the_connection_before_is_left) {
    ProgramEnvironment environment{Lines{"PATH=/bin"}};
    (void)environment.of(tcp);
    const Lines second = lines_of(environment.of({.local = unix_local, .peer = unnamed}));
    EXPECT_THAT(second, Not(Contains(StartsWith("TCP"))));
    EXPECT_THAT(second, UnorderedElementsAre("PATH=/bin", "PROTO=UNIX", "UNIXLOCALPATH=/run/x"));
}

}  // namespace
}  // namespace preforkd
