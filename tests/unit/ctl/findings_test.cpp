#include "daemon/ctl/findings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/unit/ctl/healthy_service.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

TEST(Findings, nothing_limits_a_healthy_service) {
    const std::vector<Finding> found = found_after([](StatusReport&, StatusReport&) {});
    EXPECT_THAT(found, IsEmpty());
    EXPECT_FALSE(limits_now(found));
    EXPECT_EQ(
        unlimited_text({.before = healthy(), .now = healthy(), .between = 1s}),
        "nothing limits this service now: 0 connections accepted within 1.0 s, 0 of 2 open, 2 of 2 workers ready, "
        "0 busy, 0.00 of 4 processors used");
}

struct Case {
    const char* name;
    Change change;
    Harm harm;
    const char* sentence;
};

class FindingsOf : public testing::TestWithParam<Case> {};

TEST_P(FindingsOf, a_change_is_one_sentence) {
    const Case& each = GetParam();
    const Finding finding = only_finding(each.change);
    EXPECT_EQ(finding.harm, each.harm);
    EXPECT_EQ(sentence_of(finding), each.sentence);
}

INSTANTIATE_TEST_SUITE_P(
    All, FindingsOf,
    testing::Values(
        Case{"draining",
             [](StatusReport&, StatusReport& now) {
                 now.phase = "draining";
                 now.connections = 1;
             },
             Harm::Down,
             "the daemon is draining: it stops: workers finish what they serve, for --stop-timeout at most; 1 "
             "connection "
             "open; start it again to serve"},
        Case{"no_worker",
             [](StatusReport&, StatusReport& now) {
                 now.workers.resize(1);
                 now.workers[0].state = "starting";
                 now.workers[0].age = 12s;
             },
             Harm::Down,
             "no worker serves of the 2 wanted: 1 starting, for 12s; --boot-timeout ends one that never becomes ready; "
             "the log says what it does"},
        Case{
            "one_worker_is_missing",
            [](StatusReport& before, StatusReport& now) {
                now.workers.resize(1);
                before.counts.deaths[0] = now.counts.deaths[0] = 3;
            },
            Harm::Risk,
            "only 1 of 2 workers serves: none is starting; one that died early is started again after a pause: the log "
            "says what it died of"},
        Case{"a_start_that_goes_on",
             [](StatusReport&, StatusReport& now) {
                 now.phase = "starting";
                 now.workers[1].state = "starting";
                 now.workers[1].age = 2s;
             },
             Harm::Risk,
             "the daemon is starting: only 1 of 2 workers serves: 1 starting, for 2s; --boot-timeout ends one that "
             "never becomes ready; the log says what it does"},
        Case{"a_start_for_which_something_is_short",
             [](StatusReport&, StatusReport& now) {
                 now.phase = "starting";
                 now.workers.clear();
             },
             Harm::Down,
             "the daemon is starting: no worker serves of the 2 wanted: none is starting; none has died: where the "
             "kernel starts none the log says so; raise RLIMIT_NPROC, or pids.max of the cgroup (systemd: LimitNPROC=, "
             "TasksMax=)"},
        Case{"lost", [](StatusReport&, StatusReport& now) { now.listeners[0].lost = true; }, Harm::Down,
             "listener tcp://:443: no client finds it: its socket file was removed or replaced; it is bound again once "
             "nothing else has its path; the log says what has"},
        Case{"dropped",
             [](StatusReport& before, StatusReport& now) {
                 before.listeners[0].dropped = 3;
                 now.listeners[0].dropped = 5;
             },
             Harm::Loss,
             "listener tcp://:443: 2 attempts to connect were turned away within 1.0 s: its queue of 511 was full; "
             "raise "
             "--workers; or raise --backlog (and net.core.somaxconn)"},
        Case{"lost_datagrams",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].queue = {.queued = 100, .limit = 212'992, .in_bytes = true};
                 now.listeners[0].dropped = 9;
             },
             Harm::Loss,
             "listener tcp://:443: 9 datagrams were turned away within 1.0 s: its buffer of 212992 bytes was full; "
             "raise "
             "--workers; or raise rcvbuf= of the listener"},
        Case{
            "full_buffer",
            [](StatusReport&, StatusReport& now) {
                now.listeners[0].queue = {.queued = 150'000, .limit = 212'992, .in_bytes = true};
            },
            Harm::Wait,
            "listener tcp://:443: datagrams fill 146.5K of the 208.0K of its buffer; raise --workers or rcvbuf= of the "
            "listener"},
        Case{"refused",
             [](StatusReport& before, StatusReport& now) {
                 before.listeners[0].refused = RefusedClients{.denied = 1, .rate = 1};
                 now.listeners[0].refused = RefusedClients{.denied = 2, .per_source = 2, .rate = 4};
             },
             Harm::Risk,
             "listener tcp://:443: 6 clients were refused within 1.0 s: 1 by allow= and deny=, 2 by per-source=, 3 by "
             "rate=; "
             "preforkctl sources tells which; raise what refused them if they are welcome"},
        Case{"resets",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].counts->closed = {19, 1};
             },
             Harm::Risk,
             "listener tcp://:443: 1 of the 20 connections that ended within 1.0 s failed: the handler threw, the "
             "program "
             "failed or the client broke off; what a handler threw is in the log; --log-connections end tells of each "
             "connection how it ended"},
        Case{"failures_of_handlers",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].counts->closed = {19, 1};
                 now.workers[0].last_error = "handler failed for 192.0.2.1:9: bad";
             },
             Harm::Loss,
             "listener tcp://:443: 1 of the 20 connections that ended within 1.0 s failed: the handler threw, the "
             "program "
             "failed or the client broke off; what a handler threw is in the log; --log-connections end tells of each "
             "connection how it ended"},
        Case{"failures_of_programs",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].counts->closed = {19, 1};
                 now.listeners[0].counts_traffic = false;
             },
             Harm::Loss,
             "listener tcp://:443: 1 of the 20 connections that ended within 1.0 s failed: the handler threw, the "
             "program "
             "failed or the client broke off; what a handler threw is in the log; --log-connections end tells of each "
             "connection how it ended"},
        Case{"handshakes",
             [](StatusReport&, StatusReport& now) { now.listeners[0].counts->closed = {1, 0, 0, 0, 0, 0, 3}; },
             Harm::Risk,
             "listener tcp://:443: 3 of the 4 connections that ended within 1.0 s failed: no TLS was agreed on; with "
             "--log-level debug the log says why of each; preforkctl send --verbose tries it"},
        Case{"request_timeout",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].counts->closed = {99, 0, 0, 1};
             },
             Harm::Loss,
             "listener tcp://:443: 1 of the 100 connections that ended within 1.0 s took longer than --request-timeout "
             "allows; raise --request-timeout, or find out what takes so long"},
        Case{"expired",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].certificate_expires_s = today.time_since_epoch().count();
             },
             Harm::Down,
             "listener tcp://:443: a certificate has expired on 2027-01-15, and clients refuse it; renew it, then "
             "preforkctl reload"},
        Case{"expires",
             [](StatusReport&, StatusReport& now) {
                 now.listeners[0].certificate_expires_s = (today + 50h).time_since_epoch().count();
             },
             Harm::Risk,
             "listener tcp://:443: a certificate expires on 2027-01-17, in 2d 2h; renew it, then preforkctl reload"},
        Case{"hung",
             [](StatusReport&, StatusReport& now) { now.workers.push_back({.number = 3, .pid = 10, .state = "hung"}); },
             Harm::Wait,
             "worker 3 (pid 10) hangs in its handler, and is being ended after --worker-timeout; its stack is in the "
             "log; "
             "if it may take so long, raise --worker-timeout"},
        Case{"stopped",
             [](StatusReport&, StatusReport& now) {
                 now.workers.push_back({.number = 3, .pid = 10, .state = "stopped"});
             },
             Harm::Wait, "worker 3 (pid 10) was stopped by a signal; kill -CONT 10 has it go on"},
        Case{
            "keeps_its_clients",
            [](StatusReport&, StatusReport& now) {
                now.model = "async";
                now.connection_slots = 2048;
                now.workers[0].state = "busy";
                now.workers[0].since = 12s;
                now.workers[0].connections = 3;
            },
            Harm::Wait,
            "worker 1 (pid 8) has been in its handler for 12s without a wait, while 2 other clients wait in it; have a "
            "handler that blocks run with --model thread"},
        Case{
            "processors",
            [](StatusReport&, StatusReport& now) { now.workers[0].used.cpu = now.workers[1].used.cpu = 1950ms; },
            Harm::Wait,
            "workers have used 3.90 of the 4 processors that they may, within 1.0 s; give it more processors (systemd: "
            "CPUQuota=, AllowedCPUs=), or have handlers do less"},
        Case{"one_processor",
             [](StatusReport&, StatusReport& now) {
                 now.model = "async";
                 now.connection_slots = 2048;
                 now.workers[0].used.cpu = 980ms;
                 now.workers[0].connections = 2;
             },
             Harm::Wait,
             "worker 1 (pid 8) has used 98 % of a processor within 1.0 s, all that its one thread can: its 2 clients "
             "wait "
             "for each other; raise --workers, or have handlers do less"},
        Case{"descriptors",
             [](StatusReport& before, StatusReport& now) {
                 before.counts.accept_errors = {{"EMFILE", 1}};
                 now.counts.accept_errors = {{"EMFILE", 3}, {"ECONNABORTED", 7}};
             },
             Harm::Wait,
             "accept(2) failed 2 times within 1.0 s: EMFILE; workers pause, and clients wait; raise RLIMIT_NOFILE "
             "(systemd: LimitNOFILE=)"},
        Case{"deaths",
             [](StatusReport& before, StatusReport& now) {
                 before.counts.deaths[1] = 1;
                 now.counts.deaths = {1, 3, 0, 0, 0, 4, 4, 4};
             },
             Harm::Loss, "3 workers died within 1.0 s: 1 exit, 2 signal; what each died of is told below"},
        Case{"keys", [](StatusReport&, StatusReport& now) { now.key_process = KeyProcessStatus{}; }, Harm::Down,
             "TLS handshakes fail: no process has the private keys (key-process=yes); one is started again; the log "
             "says "
             "what it died of"},
        Case{"nearly_all_connections", [](StatusReport&, StatusReport& now) { now.connections = 2; }, Harm::Risk,
             "all 2 connections that the workers may have are open; further clients wait; raise --workers, or serve "
             "several at once with --model thread"},
        Case{"the_only_connection",
             [](StatusReport&, StatusReport& now) {
                 now.workers.resize(1);
                 now.workers_wanted = now.workers_min = now.workers_max = 1;
                 now.connections = now.connection_slots = 1;
             },
             Harm::Risk,
             "the only connection that the workers may have is open; further clients wait; raise --workers, or serve "
             "several at once with --model thread"},
        Case{"nearly_all_that_open_files_allow",
             [](StatusReport&, StatusReport& now) {
                 now.model = "async";
                 now.connection_slots = 10;
                 now.connection_slots_asked = 600;
                 now.connections = 9;
             },
             Harm::Risk,
             "9 of the 10 connections that the workers may have are open; further clients wait; raise RLIMIT_NOFILE "
             "(systemd: LimitNOFILE=) or --workers"},
        Case{"log_lines",
             [](StatusReport& before, StatusReport& now) {
                 before.dropped_log_lines = 1;
                 now.dropped_log_lines = 3;
             },
             Harm::Risk,
             "2 log lines were dropped within 1.0 s, of 3 since the daemon was started; whatever reads the log "
             "(--log-file, the journal) is full or too slow"},
        Case{"log_lines_of_before",
             [](StatusReport& before, StatusReport& now) { before.dropped_log_lines = now.dropped_log_lines = 3; },
             Harm::Risk,
             "3 log lines were dropped since the daemon was started, none of them within 1.0 s: the log does not tell "
             "all; whatever reads the log (--log-file, the journal) was full or too slow"},
        Case{
            "a_failed_reload",
            [](StatusReport&, StatusReport& now) {
                now.counts.reloads = {.done = 2, .failed = 1};
                now.reload_failure = "--listen :80: in use";
            },
            Harm::Risk,
            "the last reload failed, and the settings of before it are in force: --listen :80: in use; mend that, then "
            "preforkctl reload"},
        Case{"a_failed_upgrade", [](StatusReport&, StatusReport& now) { now.counts.upgrades.failed = 1; }, Harm::Risk,
             "1 upgrade failed within 1.0 s: what ran before ran on; the log says what was wrong"}),
    [](const auto& each) { return std::string{each.param.name}; });

TEST(Findings, what_hurts_most_comes_first) {
    const std::vector<Finding> found = found_after([](StatusReport& before, StatusReport& now) {
        now.listeners.push_back(now.listeners[0]);
        now.listeners[1].endpoint = "unix:///x";
        now.listeners[1].lost = true;
        before.listeners[0].queue.queued = now.listeners[0].queue.queued = 5;
        now.listeners.push_back(now.listeners[0]);
        now.listeners[2].endpoint = "tcp://:7";
        now.listeners[2].queue = {.queued = 400, .limit = 511};
        now.listeners[0].dropped = 1;
        now.counts.upgrades.failed = 1;
    });
    std::vector<std::pair<Harm, std::string>> order;
    for (const Finding& each : found) order.emplace_back(each.harm, each.listener);
    EXPECT_THAT(order, testing::ElementsAre(std::pair{Harm::Down, "unix:///x"}, std::pair{Harm::Loss, "tcp://:443"},
                                            std::pair{Harm::Wait, "tcp://:7"}, std::pair{Harm::Wait, "tcp://:443"},
                                            std::pair{Harm::Risk, ""}));
    EXPECT_TRUE(limits_now(found));
}

TEST(Findings, what_was_before_the_looks_is_no_news) {
    EXPECT_THAT(found_after([](StatusReport& before, StatusReport& now) {
                    before.counts.reloads = {.done = 1, .failed = 1};
                    now.counts.reloads = {.done = 2, .failed = 1};
                    before.counts.upgrades.failed = now.counts.upgrades.failed = 1;
                    before.listeners[0].dropped = now.listeners[0].dropped = 1;
                    before.listeners[0].refused = now.listeners[0].refused = RefusedClients{.denied = 1, .rate = 2};
                }),
                IsEmpty());
}

TEST(Findings, what_has_been_and_may_come_limits_nothing_now) {
    EXPECT_FALSE(limits_now({{.harm = Harm::Risk}}));
    EXPECT_TRUE(limits_now({{.harm = Harm::Risk}, {.harm = Harm::Wait}}));
}

TEST(Findings, what_an_older_daemon_does_not_tell_is_not_judged) {
    EXPECT_THAT(found_after([](StatusReport& before, StatusReport& now) {
                    before = now = parse_status(R"({"pid":7,"phase":"running","listeners":[{"endpoint":"tcp://:1"}]})");
                }),
                IsEmpty());
}

}  // namespace
}  // namespace preforkd
