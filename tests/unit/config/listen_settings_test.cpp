#include "common/config/listen_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <stdexcept>
#include <string>

#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

/// The sentence with which `text` is refused; empty if it is not.
std::string listen_refusal(std::string_view text) {
    try {
        static_cast<void>(parse_listen(text));
        return {};
    } catch (const std::invalid_argument& error) {
        EXPECT_TRUE(is_printable(error.what())) << in_quotes(error.what());
        EXPECT_LT(std::string_view{error.what()}.size(), 500u);
        return error.what();
    }
}

TEST(ListenSettings, an_endpoint_alone_says_nothing_else) {
    EXPECT_EQ(parse_listen("tcp://:7"), (ListenSettings{.endpoint = parse_endpoint("tcp://:7")}));
}

TEST(ListenSettings, every_key_is_read) {
    EXPECT_EQ(parse_listen("tcp://:7 handler=echo backlog=511 v6only=yes nodelay=no keepalive=yes linger=2s"),
              (ListenSettings{.endpoint = parse_endpoint("tcp://:7"),
                              .handler = "echo",
                              .backlog = 511,
                              .v6only = true,
                              .nodelay = false,
                              .keepalive = true,
                              .linger = 2s}));
    EXPECT_EQ(parse_listen("unix:///run/x mode=0660 user=www-data group=33 linger=off"),
              (ListenSettings{.endpoint = parse_endpoint("unix:///run/x"),
                              .mode = 0660u,
                              .user = "www-data",
                              .group = "33",
                              .linger = 0ms}));
    EXPECT_EQ(parse_listen("udp://:7 rcvbuf=4M v6only=no"),
              (ListenSettings{.endpoint = parse_endpoint("udp://:7"), .v6only = false, .rcvbuf_bytes = 4u << 20}));
}

TEST(ListenSettings, replies_over_udp_can_be_limited_in_number_and_length) {
    EXPECT_EQ(parse_listen("udp://:7 replies-per-source=50/s amplify=yes"),
              (ListenSettings{.endpoint = parse_endpoint("udp://:7"), .replies_per_source = 50, .amplify = true}));
    EXPECT_EQ(parse_listen("fd://x replies-per-source=off amplify=no"),
              (ListenSettings{.endpoint = parse_endpoint("fd://x"), .replies_per_source = 0, .amplify = false}));
    EXPECT_EQ(parse_listen("udp://:7").replies_per_source, std::nullopt);
    for (const char* value : {"", "0", "0/s", "5", "5/m", "/s", "-1/s", "1000001/s", "1/sec", "no"})
        EXPECT_THAT(listen_refusal(std::string{"udp://:7 replies-per-source="} + value),
                    HasSubstr("expected a number a second from 1/s"))
            << value;
    EXPECT_EQ(listen_refusal("udp://:7 replies-per-source=1/s"), "");
    EXPECT_EQ(listen_refusal("udp://:7 replies-per-source=1000000/s"), "");
}

TEST(ListenSettings, how_many_clients_a_source_and_a_listener_have_can_be_limited) {
    EXPECT_EQ(
        parse_listen("tcp://:7 per-source=20 rate=5/s source-prefix=24:56 max=1000 refuse-with=a%20%25%0D%0a").limits,
        (ClientLimits{.per_source = 20,
                      .rate = 5,
                      .source_prefix = SourcePrefix{.ipv4_bits = 24, .ipv6_bits = 56},
                      .max = 1000,
                      .refuse_with = "a %\r\n"}));
    EXPECT_EQ(parse_listen("tcp://:7 rate=off").limits.rate, 0u);
    for (const char* value : {"0", "65535", "-1", "a", ""})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 per-source="} + value),
                    HasSubstr("per-source: expected a number from 1 to 65534"));
    for (const char* value : {"0", "1000001", "1/s"})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 max="} + value),
                    HasSubstr("max: expected a number from 1 to"));
    for (const char* value : {"", "24", "24:", ":64", "0:64", "33:64", "32:0", "32:129", "32:64:8", "a:b"})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 rate=1/s source-prefix="} + value),
                    HasSubstr("source-prefix: expected the bits of IPv4"));
    for (const char* value : {"", "%", "%4", "%g0", "100%", "%-1"})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 rate=1/s refuse-with="} + value),
                    HasSubstr("refuse-with: expected"));
    EXPECT_THAT(listen_refusal("tcp://:7 rate=1/s refuse-with=" + std::string(513, 'a')), HasSubstr("1 to 512 bytes"));
    EXPECT_THAT(listen_refusal("tcp://:7 max=1 refuse-with=no"), HasSubstr("refuse-with= needs"));
    EXPECT_THAT(listen_refusal("tcp://:7 max=1 source-prefix=24:56"), HasSubstr("source-prefix= needs"));
    EXPECT_THAT(listen_refusal("unix:///x per-source=1 source-prefix=24:56"), HasSubstr("each user is a source"));
    EXPECT_EQ(listen_refusal("unix:///x per-source=1 source-prefix=24:56 proxy=unix"), "");
    EXPECT_EQ(listen_refusal("fd://x max=1"), "") << "it may be one of streams";
    EXPECT_EQ(why_not_for(parse_listen("fd://x max=1"), Transport::UnixDatagram), std::nullopt);
    EXPECT_EQ(listen_refusal("udp://:7 per-source=20 rate=5/s source-prefix=24:56 max=1000"), "");
    EXPECT_EQ(listen_refusal("udp://:7 replies-per-source=5/s source-prefix=24:56"), "");
    EXPECT_THAT(listen_refusal("udp://:7 replies-per-source=5/s rate=5/s"), HasSubstr("keep one"));
    EXPECT_THAT(listen_refusal("unixgram:///x rate=5/s"), HasSubstr("unless proxy=unix"));
    EXPECT_EQ(listen_refusal("unixgram:///x rate=5/s max=3 proxy=unix"), "");
    for (const Transport transport : {Transport::Udp, Transport::UnixDatagram})
        EXPECT_NE(why_not_for(parse_listen("fd://x proxy=unix allow=10.0.0.1 refuse-with=no"), transport),
                  std::nullopt);
}

TEST(ListenSettings, which_lines_there_are_of_its_connections_can_be_said) {
    using enum LogConnections;
    for (const auto& [text, value] :
         {std::pair{"begin", Begin}, {"end", End}, {"both", Both}, {"no", No}, {"yes", Begin}})
        for (const char* endpoint : {"tcp://:7", "udp://:7", "unix:///x", "unixgram:///x", "fd://x"})
            EXPECT_EQ(parse_listen(std::string{endpoint} + " log-connections=" + text).log_connections, value) << text;
    EXPECT_EQ(parse_listen("tcp://:7").log_connections, std::nullopt);
    for (const char* value : {"", "maybe", "End", "begin,end"})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 log-connections="} + value),
                    HasSubstr("log-connections: expected begin, end, both or no"))
            << value;
    EXPECT_THAT(listen_refusal("tcp://:7 log-connections=no log-connections=end"),
                HasSubstr("log-connections= is given twice"));
    EXPECT_EQ(to_string(parse_listen("tcp://:7 log-connections=yes")), "tcp://:7 log-connections=begin");
    EXPECT_EQ(log_connections_of(parse_listen("tcp://:7 log-connections=no"), {.log_connections = Both}), No);
    EXPECT_EQ(log_connections_of(parse_listen("tcp://:7"), {.log_connections = Both}), Both);
}

TEST(ListenSettings, blanks_of_any_kind_separate_the_words) {
    EXPECT_EQ(parse_listen(" \t tcp://:7 \t handler=echo \r\n"), parse_listen("tcp://:7 handler=echo"));
}

TEST(ListenSettings, an_unknown_key_is_answered_with_those_that_fit) {
    EXPECT_THAT(listen_refusal("tcp://:7 port=3"),
                AllOf(HasSubstr("tcp://:7"), HasSubstr("unknown key \"port\""), HasSubstr("backlog")));
    EXPECT_THAT(listen_refusal("unixgram:///x Handler=3"),
                AllOf(HasSubstr("unknown key"), HasSubstr("rcvbuf"), testing::Not(HasSubstr("backlog"))));
    EXPECT_THAT(listen_refusal("tcp://:7 =3"), HasSubstr("unknown key \"\""));
}

TEST(ListenSettings, a_key_must_fit_the_transport) {
    for (const char* text : {"tcp://:7 mode=0660", "tcp://:7 user=x", "udp://:7 group=x", "unix:///x v6only=yes",
                             "udp://:7 nodelay=no", "unix:///x keepalive=yes", "tcp://:7 rcvbuf=4M",
                             "unix:///x rcvbuf=4M", "udp://:7 backlog=5", "unixgram:///x backlog=5",
                             "udp://:7 linger=2s", "unixgram:///x amplify=yes", "tcp://:7 replies-per-source=off"})
        EXPECT_THAT(listen_refusal(text), HasSubstr("does not fit")) << text;
}

TEST(ListenSettings, what_the_socket_unit_sets_does_not_fit_a_passed_socket) {
    for (const char* key :
         {"backlog=5", "mode=0660", "user=x", "group=x", "v6only=yes", "nodelay=no", "keepalive=yes", "rcvbuf=4M"})
        EXPECT_THAT(listen_refusal(std::string{"fd://x "} + key), HasSubstr("socket unit")) << key;
    EXPECT_EQ(listen_refusal("fd://x handler=echo linger=off"), "");
}

TEST(ListenSettings, an_abstract_name_has_no_permissions) {
    for (const char* key : {"mode=0660", "user=x", "group=x"})
        EXPECT_THAT(listen_refusal(std::string{"unix://@x "} + key), HasSubstr("abstract name has none")) << key;
}

TEST(ListenSettings, v6only_does_not_fit_an_ipv4_address) {
    EXPECT_THAT(listen_refusal("tcp://127.0.0.1:7 v6only=yes"), HasSubstr("IPv4"));
    EXPECT_EQ(listen_refusal("tcp://[::1]:7 v6only=yes"), "");
    EXPECT_EQ(listen_refusal("tcp://localhost:7 v6only=yes"), "");
}

TEST(ListenSettings, a_bad_value_is_answered_with_the_key_and_what_is_expected) {
    EXPECT_THAT(listen_refusal("tcp://:7 backlog=0"),
                AllOf(HasSubstr("backlog: expected a number from 1 to 2147483647"), HasSubstr("\"0\"")));
    EXPECT_THAT(listen_refusal("unix:///x mode=888"), HasSubstr("mode: expected octal"));
    EXPECT_THAT(listen_refusal("udp://:7 rcvbuf=1"), HasSubstr("rcvbuf: expected a size from 1K to 1G"));
    EXPECT_THAT(listen_refusal("tcp://:7 linger=soon"), HasSubstr("linger: expected a duration"));
    EXPECT_THAT(listen_refusal("tcp://:7 nodelay=maybe"), HasSubstr("nodelay: expected yes or no"));
    for (const char* text : {"tcp://:7 backlog=2147483648", "tcp://:7 backlog=-1", "tcp://:7 backlog=",
                             "tcp://:7 backlog=5x", "tcp://:7 handler=", "unix:///x mode=01000", "unix:///x mode=-1",
                             "unix:///x mode=", "unix:///x user=", "unix:///x group=", "udp://:7 rcvbuf=1025M",
                             "udp://:7 rcvbuf=", "tcp://:7 linger=", "tcp://:7 linger=-1s", "tcp://:7 v6only="})
        EXPECT_THAT(listen_refusal(text), HasSubstr("expected")) << text;
}

TEST(ListenSettings, limits_are_themselves_allowed) {
    for (const char* text : {"tcp://:7 backlog=1", "tcp://:7 backlog=2147483647", "unix:///x mode=0",
                             "unix:///x mode=0777", "udp://:7 rcvbuf=1K", "udp://:7 rcvbuf=1G", "tcp://:7 linger=365d"})
        EXPECT_EQ(listen_refusal(text), "") << text;
}

TEST(ListenSettings, a_key_is_given_once) {
    EXPECT_THAT(listen_refusal("tcp://:7 backlog=5 backlog=5"), HasSubstr("backlog= is given twice"));
}

TEST(ListenSettings, a_word_without_a_value_is_refused) {
    EXPECT_THAT(listen_refusal("tcp://:7 tcp://:8"), HasSubstr("a second endpoint needs its own --listen"));
    EXPECT_THAT(listen_refusal("unix:///my files"), HasSubstr("paths have no blanks"));
    EXPECT_THAT(listen_refusal("tcp://:7 v6only"), HasSubstr("key=value"));
}

TEST(ListenSettings, hostile_text_is_refused_in_one_printable_line) {
    EXPECT_THAT(listen_refusal(""), HasSubstr("the endpoint is empty"));
    EXPECT_THAT(listen_refusal(" \n\t"), HasSubstr("the endpoint is empty"));
    EXPECT_NE(listen_refusal(std::string{"tcp://:7 handler=a\0b", 20}), "");
    EXPECT_NE(listen_refusal(std::string{"tcp://:7 \0=b", 12}), "");
    EXPECT_NE(listen_refusal("tcp://:7 handler=\x1b[2J"), "");
    EXPECT_NE(listen_refusal("unix:///x user=\xff\xfe"), "");
    EXPECT_NE(listen_refusal("unix:///x user=a\xe2\x80\xae"
                             "b"),
              "");
    EXPECT_NE(listen_refusal("tcp://:7 " + std::string(100'000, 'x')), "");
    EXPECT_NE(listen_refusal("tcp://:7 " + std::string(100'000, '=')), "");
    EXPECT_NE(listen_refusal("tcp://:7 backlog=" + std::string(100'000, '9')), "");
    EXPECT_NE(listen_refusal("tcp://:7 handler=" + std::string(100'000, 'x')), "");
}

TEST(ListenSettings, what_is_printed_is_read_back) {
    for (const char* text :
         {"tcp://:7",
          "tcp://[::1]:7 handler=echo backlog=511 v6only=yes nodelay=no keepalive=yes linger=1m30s",
          "tcp://:7 v6only=no linger=off",
          "unix:///run/x handler=a=b backlog=5 mode=0660 user=www-data group=33",
          "unix:///x mode=0000",
          "unix://@x linger=500ms",
          "udp://:7 rcvbuf=4194304",
          "unixgram:///x mode=0777 rcvbuf=1024",
          "fd://x handler=echo linger=off",
          "tcp://:7 per-source=20 rate=5/s source-prefix=24:56 max=1000 refuse-with=a%20%25%0D%0A",
          "unix:///x rate=off max=1",
          "udp://:7 replies-per-source=1000/s amplify=no",
          "fd://x replies-per-source=off amplify=yes",
          "tcp://:7 handler=echo log-connections=end",
          "udp://:7 log-connections=no",
          "udp://:69 inetd=wait",
          "tcp://:7 program=cat%20-u run-user=git run-group=33 nice=-20 env=A=a%20%25 env=B= chdir=/srv/a%20b "
          "umask=0027",
          "tcp://:7 handler=echo workers=3 model=thread connections=5 run-user=www-data",
          "udp://:7 workers=1",
          "tcp://:7 program=/bin/cat workers=3 run=pool pass=fd0 ready=notify stop-signal=QUIT",
          "tcp://:7 run=client",
          "tcp://:7 queues=4",
          "tls://:7 queues=auto certificate=/c key=/k",
          "unix:///x user=a run-user=b limit-as=512M:infinity limit-cpu=60 limit-nofile=64:1024 limit-stack=8M"}) {
        EXPECT_EQ(to_string(parse_listen(text)), text);
    }
    EXPECT_EQ(to_string(parse_listen("udp://:69 inetd=nowait")), "udp://:69");
    EXPECT_EQ(to_string(parse_listen(":7 nodelay=yes keepalive=no linger=0")), "tcp://:7 linger=off");
}

TEST(ListenSettings, as_what_programs_run_is_read) {
    const RunAs run_as =
        parse_listen("tcp://:7 limit-nofile=64 limit-cpu=1:2 limit-as=1G:infinity nice=5 env=A=").run_as;
    EXPECT_EQ(run_as.nice, 5);
    EXPECT_THAT(run_as.environment, testing::ElementsAre("A="));
    EXPECT_EQ(run_as.limits.at("limit-nofile"), (ResourceLimit{.resource = RLIMIT_NOFILE, .soft = 64, .hard = 64}));
    EXPECT_EQ(run_as.limits.at("limit-cpu"), (ResourceLimit{.resource = RLIMIT_CPU, .soft = 1, .hard = 2}));
    EXPECT_EQ(run_as.limits.at("limit-as"),
              (ResourceLimit{.resource = RLIMIT_AS, .soft = std::uint64_t{1} << 30, .hard = RLIM_INFINITY}));
    EXPECT_EQ(process_key_of(parse_listen("tcp://:7 limit-cpu=1 nice=5")), "nice");
    EXPECT_EQ(process_key_of(parse_listen("tcp://:7 program=cat")), "");
    EXPECT_THAT(listen_refusal("tcp://:7 limits=5"), HasSubstr("umask, limit-*"));
    for (const char* value : {"", ":", "5:", ":5", "-1", "1:2:3", "18446744073709551615", "1x"})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 limit-nofile="} + value),
                    HasSubstr("limit-nofile: expected SOFT or SOFT:HARD"))
            << value;
}

TEST(ListenSettings, workers_of_its_own_are_read) {
    const ListenSettings listen = parse_listen("tcp://:7 workers=3 model=serial connections=5");
    EXPECT_EQ(listen.workers, 3);
    EXPECT_EQ(listen.model, Model::Serial);
    EXPECT_EQ(listen.connections, 5);
    for (const char* text :
         {"tcp://:7 workers=1", "tcp://:7 model=serial", "tcp://:7 connections=5", "tcp://:7 run=pool"})
        EXPECT_TRUE(is_service(parse_listen(text))) << text;
    EXPECT_FALSE(is_service(parse_listen("tcp://:7 handler=echo")));
    EXPECT_THAT(listen_refusal("tcp://:7 workers=1 model=threads"),
                HasSubstr("expected async, serial, thread or fork"));
    for (const char* value : {"0", "1025", "auto", "1..2", ""})
        EXPECT_THAT(listen_refusal(std::string{"tcp://:7 workers="} + value), HasSubstr("a number from 1 to 1024"));
}

TEST(ListenSettings, every_key_names_where_it_fits) {
    for (const ListenKey& key : listen_keys())
        for (const auto& [transport, endpoint] : {std::pair{"tcp", "tcp://:7 "},
                                                  {"udp", "udp://:7 "},
                                                  {"unix", "unix:///x "},
                                                  {"unixgram", "unixgram:///x "},
                                                  {"fd", "fd://x "}}) {
            const std::string listed = ", " + std::string{key.transports} + ",";
            const bool fits =
                key.transports == "all" || listed.find(std::string{" "} + transport + ",") != std::string::npos;
            const std::string answer = listen_refusal(endpoint + std::string{key.name} + "=");
            EXPECT_EQ(answer.find("does not fit") == std::string::npos, fits) << key.name << " and " << transport;
        }
}

}  // namespace
}  // namespace preforkd
