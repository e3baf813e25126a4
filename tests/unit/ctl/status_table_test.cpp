#include "daemon/ctl/status_table.hpp"

#include <gtest/gtest.h>

#include "daemon/ctl/text_table.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(TextTable, columns_are_as_wide_as_their_widest_cell) {
    TextTable table{{{"NAME"}, {"N", true}, {"NOTE"}}};
    table.add({"a", "1", "x"});
    table.add({"longer", "1000", ""});
    EXPECT_EQ(table.text(0),
              "NAME       N  NOTE\n"
              "a          1  x\n"
              "longer  1000\n");
}

TEST(TextTable, a_terminal_cuts_lines_between_characters) {
    TextTable table{{{"A"}}};
    table.add({"äöüß"});
    EXPECT_EQ(table.text(2), "A\näö\n");
}

TEST(StatusTable, a_daemon_at_work_is_told_in_three_parts) {
    const StatusReport report{
        .version = "0.1.0",
        .pid = 4711,
        .phase = "running",
        .uptime = 76h,
        .generation = 2,
        .workers_wanted = 2,
        .connections = 1,
        .accepted = 1234,
        .served = 1233,
        .received_bytes = 1,
        .sent_bytes = 1'572'864,
        .replaced = 1,
        .listeners = {{.endpoint = "tcp://:7", .handler = "echo", .queue = {.queued = 3, .limit = 4096}},
                      {.endpoint = "unixgram:///x", .handler = "print", .passed = true, .queue = {.in_bytes = true}}},
        .workers = {{.number = 1,
                     .pid = 4712,
                     .generation = 2,
                     .state = "busy",
                     .since = 3s,
                     .age = 76h,
                     .connections = 1,
                     .accepted = 1000,
                     .served = 999,
                     .received_bytes = 2048,
                     .sent_bytes = 1,
                     .last_error = "handler failed: bad"},
                    {.number = 2, .pid = 4713, .generation = 2, .state = "starting", .age = 100ms}}};
    EXPECT_EQ(status_text(report, 0),
              "preforkd 0.1.0, pid 4711, running for 3d 4h, generation 2\n"
              "1 of 2 workers ready; requests: 1 now, 1234 ever, 1233 served; 1 byte received, 1.5M sent; "
              "1 worker replaced\n"
              "\n"
              "LISTENER                HANDLER  QUEUED  LIMIT\n"
              "tcp://:7                echo          3   4096\n"
              "unixgram:///x (passed)  print         -      -\n"
              "\n"
              "WORKER   PID  GEN  STATE     SINCE    AGE  NOW  EVER  RECEIVED  SENT  LAST ERROR\n"
              "     1  4712    2  busy         3s  3d 4h    1  1000      2.0K     1  handler failed: bad\n"
              "     2  4713    2  starting     0s     0s    0     0         -     -  -\n");
}

TEST(StatusTable, a_worker_of_a_service_is_told_with_its_name) {
    const std::string text = status_text(
        StatusReport{.workers = {{.number = 1, .pid = 11, .service = "tcp://:7"}, {.number = 2, .pid = 12}}}, 0);
    EXPECT_NE(text.find("WORKER  PID  SERVICE   GEN"), text.npos) << text;
    EXPECT_NE(text.find("     1   11  tcp://:7"), text.npos) << text;
    EXPECT_NE(text.find("     2   12  -       "), text.npos) << text;
}

TEST(StatusTable, what_leaving_workers_still_serve_is_told_and_for_how_long_they_do) {
    const StatusReport report{
        .workers_wanted = 1,
        .workers = {{.number = 1,
                     .pid = 11,
                     .generation = 1,
                     .state = "leaving",
                     .since = 1s,
                     .age = 9h,
                     .leaving_for = 3h,
                     .connections = 1},
                    {.number = 2,
                     .pid = 12,
                     .generation = 2,
                     .state = "leaving",
                     .since = 1s,
                     .age = 3h,
                     .leaving_for = 2s,
                     .connections = 4},
                    {.number = 3, .pid = 13, .generation = 3, .state = "idle", .since = 2s, .age = 2s}}};
    const std::string text = status_text(report, 0);
    EXPECT_NE(text.find("\n2 workers leaving, with 5 connections, the longest for 3h 0m: worker 1, pid 11\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("leaving  3h 0m  9h 0m    1"), std::string::npos) << text;
}

TEST(StatusTable, whom_a_listener_has_refused_is_told_by_the_reason) {
    const StatusReport report{
        .listeners = {{.endpoint = "tcp://:7", .handler = "echo", .refused = RefusedClients{.denied = 3, .rate = 1}},
                      {.endpoint = "tcp://:8", .handler = "echo", .refused = RefusedClients{}},
                      {.endpoint = "udp://:7", .handler = "echo"}}};
    const std::string text = status_text(report, 0);
    EXPECT_NE(text.find("LISTENER  HANDLER  QUEUED  LIMIT  REFUSED\n"
                        "tcp://:7  echo          -      -  3 denied, 1 by rate\n"
                        "tcp://:8  echo          -      -  0\n"
                        "udp://:7  echo          -      -  -\n"),
              std::string::npos)
        << text;
}

TEST(StatusTable, who_has_the_private_keys_is_told_and_that_nobody_has) {
    const auto line = [](KeyProcessStatus keys) {
        const std::string text = status_text({.key_process = keys}, 0);
        const std::size_t begin = text.find('\n', text.find('\n') + 1) + 1;
        return text.substr(begin, text.find('\n', begin) - begin);
    };
    EXPECT_EQ(line({.pid = 7, .user = 61'184, .has_own_user = true}), "private keys: pid 7, uid 61184");
    EXPECT_EQ(line({.pid = 7, .user = 1000}), "private keys: pid 7, uid 1000, its master's");
    EXPECT_EQ(line({}), "no key process signs: TLS handshakes fail");
}

TEST(StatusTable, how_many_clients_a_listener_may_have_is_told_with_how_many_there_are) {
    const StatusReport report{
        .listeners = {{.endpoint = "tcp://:7", .handler = "echo", .limits = LimitedClients{.max = 9, .clients = 3}},
                      {.endpoint = "tcp://:8",
                       .handler = "echo",
                       .limits = LimitedClients{.max = 9, .clients = 9, .per_source = 2, .rate = 5},
                       .refused = RefusedClients{}},
                      {.endpoint = "udp://:7", .handler = "echo", .limits = LimitedClients{.rate = 1000}},
                      {.endpoint = "unix://@x", .handler = "echo"}}};
    const std::string text = status_text(report, 0);
    EXPECT_NE(text.find("LISTENER   HANDLER  QUEUED  LIMIT  CLIENTS                           REFUSED\n"
                        "tcp://:7   echo          -      -  3 of 9                            -\n"
                        "tcp://:8   echo          -      -  9 of 9, 2 a source, 5/s a source  0\n"
                        "udp://:7   echo          -      -  1000/s a source                   -\n"
                        "unix://@x  echo          -      -  -                                 -\n"),
              std::string::npos)
        << text;
}

TEST(StatusTable, what_is_counted_of_a_listener_has_a_column_each) {
    ListenerCounts counts{.accepted = 100, .received_bytes = 2048, .sent_bytes = 5, .closed = {95, 3, 0, 0, 1}};
    for (int n = 0; n < 99; ++n) counts.duration.add(2ms);
    counts.duration.add(2min);
    counts.accept_wait.add(2min);
    const StatusReport report{.listeners = {{.endpoint = "tcp://:7",
                                             .handler = "echo",
                                             .queue = {.queued = 0, .limit = 8},
                                             .counts = counts,
                                             .connections = 1,
                                             .most_connections = 4,
                                             .dropped = 2},
                                            {.endpoint = "unix:///x",
                                             .handler = "/bin/cat",
                                             .counts = ListenerCounts{},
                                             .counts_traffic = false},
                                            {.endpoint = "tcp://:9", .handler = "echo"}},
                              .counts = {.accept_errors = {{"EMFILE", 2}},
                                         .deaths = {0, 1, 0, 0, 0, 0, 0, 4},
                                         .reloads = {.done = 2, .failed = 1},
                                         .upgrades = {.failed = 1}}};
    const std::string text = status_text(report, 0);
    EXPECT_NE(text.find("\nworker deaths: 1 signal, 4 ordered; reloads: 2 done, 1 failed; upgrades: 1 failed; "
                        "accept errors: 2 EMFILE\n\n"),
              std::string::npos)
        << text;
    EXPECT_NE(
        text.find("LISTENER   HANDLER   QUEUED  LIMIT  DROPPED  WAIT P99  NOW  MOST  EVER  TOOK P99  RECEIVED  SENT  "
                  "FAILED\n"
                  "tcp://:7   echo           0      8        2      >60s    1     4   100    <2.5ms      2.0K     5  "
                  "3 error, 1 cut\n"
                  "unix:///x  /bin/cat       -      -        -         -    0     0     0         -         -     -  "
                  "0\n"
                  "tcp://:9   echo           -      -        -         -    -     -     -         -         -     -  "
                  "-\n"),
        std::string::npos)
        << text;
}

TEST(StatusTable, sources_are_told_for_each_listener_that_limits_them) {
    EXPECT_EQ(sources_text({}, 0), "no listener limits its sources\n");
    EXPECT_EQ(sources_text({{.endpoint = "tcp://:7",
                             .sources = {{.source = "192.0.2.1", .connections = 20, .refused = 1234},
                                         {.source = "2001:db8::/64", .connections = 1}}},
                            {.endpoint = "unix:///x"}},
                           0),
              "LISTENER   SOURCE         NOW  REFUSED\n"
              "tcp://:7   192.0.2.1       20     1234\n"
              "tcp://:7   2001:db8::/64    1        0\n"
              "unix:///x  -                -        -\n");
}

TEST(StatusTable, deaths_are_told_oldest_first) {
    EXPECT_EQ(deaths_text({}, 0), "no worker has died\n");
    DeathRing deaths;
    deaths.add({.time = "2026-11-24T14:00:00.001Z",
                .number = 3,
                .pid = 4,
                .cause = "killed by SIGKILL",
                .ordered_by = "outside",
                .age = 61s,
                .served = 6,
                .last_peer = "[::1]:7",
                .used = {.user = 1s, .system = 240ms, .max_rss_bytes = 1'572'864}});
    EXPECT_EQ(
        deaths_text(deaths, 0),
        "TIME                      WORKER  PID  CAUSE              ORDERED BY    AGE  SERVED    CPU  MEMORY  LAST "
        "PEER\n"
        "2026-11-24T14:00:00.001Z       3    4  killed by SIGKILL  outside     1m 1s       6  1.24s    1.5M  "
        "[::1]:7\n");
}

}  // namespace
}  // namespace preforkd
