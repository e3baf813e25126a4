#include "daemon/master/pool/death.hpp"

#include <gtest/gtest.h>

#include "common/net/socket_address.hpp"

namespace preforkd {
namespace {

using Kind = ExitReport::Kind;

TEST(Death, an_exit_is_told_with_its_code) {
    EXPECT_EQ(describe({Kind::Exited, 0}), "exited with code 0");
    EXPECT_EQ(describe({Kind::Exited, 70}), "exited with code 70");
}

TEST(Death, a_signal_is_told_by_its_name) {
    EXPECT_EQ(describe({Kind::Killed, SIGKILL}), "killed by SIGKILL");
    EXPECT_EQ(describe({Kind::Killed, SIGTERM}), "killed by SIGTERM");
}

TEST(Death, a_core_dump_is_told) { EXPECT_EQ(describe({Kind::Dumped, SIGSEGV}), "killed by SIGSEGV, core dumped"); }

TEST(Death, an_end_that_somebody_else_has_collected_is_no_signal) {
    EXPECT_EQ(describe({Kind::Unknown, 0}), "ended unobserved");
}

TEST(Death, a_signal_without_a_name_is_told_by_its_number) {
    EXPECT_EQ(describe({Kind::Killed, 40}), "killed by signal 40");
}

constexpr ExitReport sigkill{Kind::Killed, SIGKILL};
constexpr ExitReport left{Kind::Exited, 0};

TEST(Death, what_the_master_orders_is_ordered_by_the_master) {
    EXPECT_EQ(ordered_by({.report = left, .order = DeathOrder::Resize}, WorkerRecord{}), "master: resize");
    EXPECT_EQ(ordered_by({.report = sigkill, .order = DeathOrder::StopTimeout}, WorkerRecord{}),
              "master: stop timeout");
    EXPECT_EQ(ordered_by({.report = {Kind::Killed, SIGABRT}, .order = DeathOrder::Hang}, WorkerRecord{}),
              "master: hang");
}

TEST(Death, what_nobody_of_ours_orders_comes_from_another_process) {
    EXPECT_EQ(ordered_by({.report = sigkill}, WorkerRecord{}), "another process");
    EXPECT_EQ(ordered_by({.report = {Kind::Killed, SIGTERM}}, WorkerRecord{}), "another process");
    EXPECT_EQ(ordered_by({.report = left}, WorkerRecord{}), "another process")
        << "it leaves in good order only when told to";
}

TEST(Death, a_signal_from_outside_that_a_worker_retires_of_comes_from_another_process) {
    WorkerRecord record;
    EXPECT_EQ(ordered_by({.report = left, .order = DeathOrder::Recycle}, record), "another process");
    record.retirement = RetirementReason::MaxRequests;
    EXPECT_EQ(ordered_by({.report = left, .order = DeathOrder::Recycle}, record), "master: recycle");
}

TEST(Death, a_crash_is_of_another_process_where_the_worker_has_told_who_sent_the_signal) {
    WorkerRecord record;
    record.last_error.write("worker 1 (pid 77) crashed: SIGSEGV at address 0x0, in preforkd+0x10");
    EXPECT_EQ(ordered_by({.report = {Kind::Killed, SIGSEGV}}, record), "nobody");
    record.last_error.write("worker 1 (pid 77) crashed: SIGSEGV, sent by process 12, in libc.so.6+0x10");
    EXPECT_EQ(ordered_by({.report = {Kind::Killed, SIGSEGV}}, record), "another process");
}

TEST(Death, a_crash_and_a_failure_are_ordered_by_nobody) {
    EXPECT_EQ(ordered_by({.report = {Kind::Dumped, SIGSEGV}}, WorkerRecord{}), "nobody");
    EXPECT_EQ(ordered_by({.report = {Kind::Killed, SIGABRT}, .order = DeathOrder::Resize}, WorkerRecord{}), "nobody");
    EXPECT_EQ(ordered_by({.report = {Kind::Exited, 70}}, WorkerRecord{}), "nobody");
    EXPECT_EQ(ordered_by({.report = {Kind::Exited, 70}, .order = DeathOrder::Stop}, WorkerRecord{}), "nobody");
}

TEST(Death, the_kernel_is_named_when_it_wants_memory_back) {
    EXPECT_EQ(ordered_by({.report = sigkill, .out_of_memory = true}, WorkerRecord{}), "kernel: out of memory");
}

TEST(Death, the_certificate_has_what_the_worker_has_noted) {
    WorkerRecord record;
    record.served = 12;
    const SocketAddress peer = resolve(parse_endpoint("tcp://127.0.0.1:4000")).at(0);
    record.last_peer.write(peer.data(), peer.size());
    record.last_error.write("handler failed: \x1b[2J");
    const DeathReport report = report_on({.number = 3, .pid = 77, .report = sigkill, .expected = true}, record);
    EXPECT_EQ(report.served, 12U);
    EXPECT_EQ(report.last_peer, "127.0.0.1:4000");
    EXPECT_EQ(report.last_error, "handler failed: \\x1b[2J") << "a terminal must not obey it";
    EXPECT_FALSE(report.expected) << "it was told to leave, but it was killed";
}

TEST(Death, what_a_copy_of_a_program_has_served_nobody_knows) {
    WorkerRecord record;
    record.program_pid = 5;
    EXPECT_EQ(report_on({.report = sigkill}, record).served, std::nullopt);
}

TEST(Death, connections_that_a_stop_did_not_wait_for_were_cut) {
    WorkerRecord told;
    told.cut = 3;
    EXPECT_EQ(connections_cut({.report = left, .order = DeathOrder::Stop}, told), 3U);
    told.active = 2;
    EXPECT_EQ(connections_cut({.report = sigkill, .order = DeathOrder::Stop}, told), 3U) << "one has ended since";

    WorkerRecord deaf;
    deaf.active = 2;
    EXPECT_EQ(connections_cut({.report = sigkill, .order = DeathOrder::StopTimeout}, deaf), 2U);
    EXPECT_EQ(connections_cut({.report = left, .order = DeathOrder::Reload}, deaf), 0U);
    for (const DeathOrder other : {DeathOrder::None, DeathOrder::Hang, DeathOrder::Lifeless})
        EXPECT_EQ(connections_cut({.report = sigkill, .order = other}, deaf), 0U) << "no stop";
}

TEST(Death, it_is_counted_for_one_reason) {
    WorkerRecord record;
    constexpr ExitReport failed{Kind::Exited, 70};
    constexpr ExitReport crashed{Kind::Dumped, SIGSEGV};
    EXPECT_EQ(cause_of({.report = failed}, record), DeathCause::Exit);
    EXPECT_EQ(cause_of({.report = sigkill}, record), DeathCause::Signal);
    EXPECT_EQ(cause_of({.report = crashed}, record), DeathCause::Signal);
    EXPECT_EQ(cause_of({.report = sigkill, .out_of_memory = true}, record), DeathCause::OutOfMemory);
    EXPECT_EQ(cause_of({.report = {Kind::Killed, SIGABRT}, .order = DeathOrder::Hang}, record), DeathCause::Hang);
    EXPECT_EQ(cause_of({.report = sigkill, .order = DeathOrder::Lifeless}, record), DeathCause::Hang);
    EXPECT_EQ(cause_of({.report = failed, .was_ready = false}, record), DeathCause::Boot);
    EXPECT_EQ(cause_of({.report = sigkill, .order = DeathOrder::BootTimeout, .was_ready = false}, record),
              DeathCause::Boot);
    EXPECT_EQ(cause_of({.report = left, .order = DeathOrder::Stop, .was_ready = false}, record), DeathCause::Ordered);
    for (const DeathOrder order :
         {DeathOrder::Stop, DeathOrder::Resize, DeathOrder::Reload, DeathOrder::Upgrade, DeathOrder::Rebind}) {
        EXPECT_EQ(cause_of({.report = left, .order = order}, record), DeathCause::Ordered);
        EXPECT_EQ(cause_of({.report = failed, .order = order}, record), DeathCause::Exit) << "it failed by itself";
        EXPECT_EQ(cause_of({.report = crashed, .order = order}, record), DeathCause::Signal);
    }
    EXPECT_EQ(cause_of({.report = sigkill, .order = DeathOrder::StopTimeout}, record), DeathCause::Ordered);
}

TEST(Death, a_worker_that_retires_says_of_what) {
    WorkerRecord record;
    const Death retired{.report = left, .order = DeathOrder::Recycle};
    EXPECT_EQ(cause_of(retired, record), DeathCause::Ordered) << "somebody has told it to leave";
    record.retirement = RetirementReason::MaxRequests;
    EXPECT_EQ(cause_of(retired, record), DeathCause::MaxRequests);
    record.retirement = RetirementReason::MaxMemory;
    EXPECT_EQ(cause_of(retired, record), DeathCause::MaxMemory);
    EXPECT_EQ(cause_of({.report = {Kind::Exited, 70}, .order = DeathOrder::Recycle}, record), DeathCause::Exit);
    record.retirement = static_cast<RetirementReason>(99);
    EXPECT_EQ(cause_of(retired, record), DeathCause::Ordered) << "whatever it writes";
}

TEST(Death, a_note_that_makes_no_sense_is_no_peer) {
    WorkerRecord record;
    EXPECT_EQ(last_peer_of(record), "");
    record.last_peer.write("\xff", 1);
    EXPECT_EQ(last_peer_of(record), "");
    record.last_peer.write("\xff\xff of half a write");
    EXPECT_EQ(last_peer_of(record), "");
}

}  // namespace
}  // namespace preforkd
