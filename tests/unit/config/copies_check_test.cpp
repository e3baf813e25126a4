#include "common/config/copies_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/listen_settings.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

using testing::HasSubstr;

Settings pool_at(const std::string& endpoint) {
    Settings settings;
    settings.listen = {parse_listen(endpoint)};
    settings.program = {"/usr/bin/server"};
    settings.run = RunMode::Pool;
    return settings;
}

std::string copies_refusal(const Settings& settings) {
    try {
        check_copies(settings, {});
        return "";
    } catch (const OperatorError& error) { return error.what(); }
}

TEST(CopiesCheck, what_concerns_the_socket_itself_fits) {
    EXPECT_EQ(copies_refusal(pool_at("tcp://:80 backlog=7 v6only=yes nodelay=no keepalive=yes")), "");
    EXPECT_EQ(copies_refusal(pool_at("unix:///run/x mode=0600 user=root group=root")), "");
    EXPECT_EQ(copies_refusal(pool_at("udp://:53 rcvbuf=4M")), "");
}

TEST(CopiesCheck, all_endpoints_say_the_same_of_the_process_that_has_them) {
    Settings settings = pool_at("tcp://:80 run-user=git nice=5 env=A=1 env=B=2 limit-nofile=64");
    EXPECT_EQ(copies_refusal(settings), "");
    settings.listen.push_back(parse_listen("tcp://:81 nice=5 run-user=git env=A=1 env=B=2 limit-nofile=64:64"));
    EXPECT_EQ(copies_refusal(settings), "");
    settings.listen.push_back(parse_listen("tcp://:82 run-user=git"));
    EXPECT_THAT(copies_refusal(settings), HasSubstr("tcp://:82: each copy of --run pool has all endpoints"));
    settings.run = RunMode::Client;
    EXPECT_EQ(copies_refusal(settings), "");
}

TEST(CopiesCheck, what_concerns_clients_does_not) {
    for (const char* const key : {"handler=echo", "linger=1s", "allow=::1", "per-source=3", "rate=5/s", "max=9",
                                  "proxy=::1", "log-connections=end"})
        EXPECT_THAT(copies_refusal(pool_at(std::string{"tcp://:80 "} + key)), HasSubstr("= has no effect on programs"))
            << key;
}

TEST(CopiesCheck, each_option_about_clients_is_refused_unless_it_says_the_default) {
    struct Case {
        const char* option;
        const char* other;
    };
    for (const auto& [option, other] :
         {Case{"model", "fork"}, Case{"connections", "3"}, Case{"max-requests", "5"}, Case{"idle-timeout", "9s"},
          Case{"request-timeout", "9s"}, Case{"line-max", "9K"}, Case{"log-connections", "no"}}) {
        Settings settings = pool_at("tcp://:80");
        const OptionRow& row = *find_option(option);
        for (const std::string& value : row.print(Settings{})) row.read(settings, value);
        EXPECT_EQ(copies_refusal(settings), "");
        row.read(settings, other);
        EXPECT_EQ(copies_refusal(settings),
                  std::string{"--"} + option +
                      ": has no effect on programs that accept by themselves (--run pool); leave it away");
    }
}

TEST(CopiesCheck, nobody_is_to_live_for_longer_than_he_may_take_to_be_ready) {
    Settings settings = pool_at("tcp://:80");
    settings.ready.alive_for = settings.boot_timeout;
    EXPECT_THAT(copies_refusal(settings), HasSubstr("--ready: alive:30s is no sooner than --boot-timeout 30s"));
    settings.boot_timeout = std::chrono::milliseconds{0};
    EXPECT_EQ(copies_refusal(settings), "");
}

TEST(CopiesCheck, a_watchdog_takes_notifications) {
    Settings settings = pool_at("tcp://:80");
    settings.worker_timeout = std::chrono::seconds{9};
    EXPECT_THAT(copies_refusal(settings), HasSubstr("--worker-timeout: a program that accepts by itself tells"));
    settings.ready.kind = ReadyCheck::Kind::Notify;
    EXPECT_EQ(copies_refusal(settings), "");
}

TEST(CopiesCheck, a_program_that_waits_is_refused_what_a_copy_is) {
    Settings settings = pool_at("udp://:69 inetd=wait rcvbuf=4M v6only=yes");
    EXPECT_THAT(copies_refusal(settings), HasSubstr("inetd= has no effect"));
    settings.run = RunMode::Client;
    settings.stop_signal = 2;
    EXPECT_EQ(copies_refusal(settings), "");
    settings.idle_timeout = std::chrono::milliseconds{1};
    EXPECT_THAT(copies_refusal(settings), HasSubstr("--idle-timeout: has no effect"));
    settings.listen.push_back(parse_listen("tcp://:70"));
    EXPECT_EQ(copies_refusal(settings), "");
    settings.listen.front().limits.max = 3;
    EXPECT_THAT(copies_refusal(settings), HasSubstr("udp://:69: max= has no effect"));
    settings.listen.front() = parse_listen("tcp://:69 inetd=wait");
    settings.program.clear();
    EXPECT_THAT(copies_refusal(settings), HasSubstr("inetd=wait needs a program"));
}

TEST(CopiesCheck, what_is_for_copies_needs_them) {
    Settings settings = pool_at("tcp://:80");
    settings.pass = PassStyle::Fd0;
    EXPECT_EQ(copies_refusal(settings), "");
    settings.run = RunMode::Client;
    EXPECT_THAT(copies_refusal(settings),
                HasSubstr("--pass: is for programs that accept by themselves; say --run pool"));
}

}  // namespace
}  // namespace preforkd
