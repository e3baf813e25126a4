#include "common/channel/channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::comes;
using testing::end_of;

template <class Kind, class Received>
bool is(const Received& received) {
    return std::holds_alternative<Kind>(received);
}

class Channel : public ::testing::Test {
protected:
    Report report() { return std::get<Report>(receive_report(pair.master.get())); }
    ReceivedOrder order() { return std::get<ReceivedOrder>(receive_order(pair.worker.get())); }

    ChannelPair pair = open_channel();
};

TEST_F(Channel, both_ends_are_close_on_exec_and_non_blocking) {
    for (const int end : {pair.master.get(), pair.worker.get()}) {
        EXPECT_NE(::fcntl(end, F_GETFD) & FD_CLOEXEC, 0);
        EXPECT_NE(::fcntl(end, F_GETFL) & O_NONBLOCK, 0);
    }
}

TEST_F(Channel, orders_cross_in_their_order) {
    send_order(pair.master.get(), Order::EmptyQueue);
    send_order(pair.master.get(), Order::LookForClients);
    send_order(pair.master.get(), Order::EmptyQueue, {.listener = 3});
    const ReceivedOrder first = order();
    EXPECT_EQ(first.order, Order::EmptyQueue);
    EXPECT_EQ(first.listener, every_listener);
    EXPECT_EQ(order().order, Order::LookForClients);
    EXPECT_EQ(order().listener, 3U);
    EXPECT_TRUE(is<NothingYet>(receive_order(pair.worker.get())));
}

TEST_F(Channel, reports_cross_in_their_order_with_their_text) {
    send_report(pair.worker.get(), Report::Kind::Ready);
    send_report(pair.worker.get(), Report::Kind::Failed, "bind: no");
    const Report first = report();
    EXPECT_EQ(first.kind, Report::Kind::Ready);
    EXPECT_EQ(first.text, "");
    const Report second = report();
    EXPECT_EQ(second.kind, Report::Kind::Failed);
    EXPECT_EQ(second.text, "bind: no");
    EXPECT_TRUE(is<NothingYet>(receive_report(pair.master.get())));
}

TEST_F(Channel, a_report_is_cut_at_1024_bytes) {
    send_report(pair.worker.get(), Report::Kind::Failed, std::string(1024, 'a'));
    send_report(pair.worker.get(), Report::Kind::Failed, std::string(1025, 'b'));
    send_report(pair.worker.get(), Report::Kind::Failed, std::string(1'000'000, 'c'));
    EXPECT_EQ(report().text, std::string(1024, 'a'));
    EXPECT_EQ(report().text, std::string(1024, 'b'));
    EXPECT_EQ(report().text, std::string(1024, 'c'));
    EXPECT_TRUE(is<NothingYet>(receive_report(pair.master.get()))) << "the rest must not look like a report";
}

TEST_F(Channel, the_text_of_a_report_is_one_printable_line) {
    send_report(pair.worker.get(), Report::Kind::Failed, "a\n\x1b[2Jforged \xff");
    EXPECT_EQ(report().text, R"("a\n\x1b[2Jforged \xff")");
}

TEST_F(Channel, what_no_worker_sends_is_no_report) {
    for (const std::string_view forged : {"\x04", "\x06", "\xff", "\x01text for a pause"}) {
        ASSERT_EQ(::send(pair.worker.get(), forged.data(), forged.size(), 0), static_cast<ssize_t>(forged.size()));
        EXPECT_TRUE(is<NoReport>(receive_report(pair.master.get()))) << forged;
    }
}

TEST_F(Channel, what_was_said_before_the_end_is_heard_before_the_end) {
    send_report(pair.worker.get(), Report::Kind::Failed, "last words");
    pair.worker = {};
    EXPECT_EQ(report().text, "last words");
    for (int again = 0; again < 2; ++again) EXPECT_TRUE(is<PeerGone>(receive_report(pair.master.get())));
}

TEST_F(Channel, the_worker_learns_of_the_masters_end) {
    send_order(pair.master.get(), Order::EmptyQueue);
    pair.master = {};
    EXPECT_EQ(order().order, Order::EmptyQueue);
    EXPECT_TRUE(is<PeerGone>(receive_order(pair.worker.get())));
}

TEST_F(Channel, a_peer_that_died_with_unread_packets_is_gone_and_no_error) {
    send_order(pair.master.get(), Order::LookForClients);
    pair.worker = {};
    for (int again = 0; again < 2; ++again) EXPECT_TRUE(is<PeerGone>(receive_report(pair.master.get())));
}

TEST_F(Channel, a_killed_process_ends_its_channel) {
    const ChildProcess child = spawn([&] {
        pair.master = {};
        send_report(pair.worker.get(), Report::Kind::Ready);
        ::pause();
        return 0;
    });
    pair.worker = {};
    ASSERT_TRUE(comes(pair.master.get()));
    EXPECT_EQ(report().kind, Report::Kind::Ready);
    child.signal(SIGKILL);
    ASSERT_TRUE(comes(pair.master.get()));
    EXPECT_TRUE(is<PeerGone>(receive_report(pair.master.get())));
    EXPECT_EQ(end_of(child), testing::killed(SIGKILL));
}

TEST_F(Channel, sending_to_a_peer_that_is_gone_does_nothing) {
    pair.worker = {};
    EXPECT_TRUE(send_order(pair.master.get(), Order::EmptyQueue)) << "there is nobody to send it to again";
    ChannelPair other = open_channel();
    other.master = {};
    send_report(other.worker.get(), Report::Kind::Paused);
}

TEST_F(Channel, a_full_queue_neither_blocks_nor_loses_its_beginning) {
    send_order(pair.master.get(), Order::EmptyQueue);
    send_report(pair.worker.get(), Report::Kind::Ready);
    for (int n = 0; n < 20'000; ++n) {
        send_order(pair.master.get(), Order::LookForClients);
        send_report(pair.worker.get(), Report::Kind::Paused);
    }
    EXPECT_FALSE(send_order(pair.master.get(), Order::EmptyQueue)) << "it has to be sent again";
    EXPECT_EQ(order().order, Order::EmptyQueue);
    EXPECT_EQ(report().kind, Report::Kind::Ready);
    int orders = 0;
    while (is<ReceivedOrder>(receive_order(pair.worker.get()))) ++orders;
    EXPECT_GT(orders, 0);
    EXPECT_LT(orders, 20'000) << "the queue was not full";
    EXPECT_TRUE(send_order(pair.master.get(), Order::EmptyQueue));
    EXPECT_EQ(order().order, Order::EmptyQueue) << "a queue that was emptied takes orders again";
}

TEST_F(Channel, a_descriptor_arrives_close_on_exec) {
    const testing::Pipe pipe = testing::make_pipe();
    send_order(pair.master.get(), Order::TakeLog, {.passed_fd = pipe.writer.get()});
    const ReceivedOrder received = order();
    EXPECT_EQ(received.order, Order::TakeLog);
    ASSERT_TRUE(received.fd);
    EXPECT_NE(received.fd.get(), pipe.writer.get());
    EXPECT_NE(::fcntl(received.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
    struct stat ours {};
    struct stat theirs {};
    ASSERT_EQ(::fstat(pipe.writer.get(), &ours), 0);
    ASSERT_EQ(::fstat(received.fd.get(), &theirs), 0);
    EXPECT_EQ(ours.st_ino, theirs.st_ino);
}

TEST_F(Channel, an_order_without_a_descriptor_brings_none) {
    send_order(pair.master.get(), Order::TakeLog);
    EXPECT_FALSE(order().fd);
}

TEST_F(Channel, a_peer_that_died_with_unread_packets_is_heard_before_it_is_gone) {
    send_order(pair.master.get(), Order::LookForClients);
    send_report(pair.worker.get(), Report::Kind::Failed, "last words");
    pair.worker = {};
    const auto received = receive_report(pair.master.get());
    ASSERT_TRUE(is<Report>(received));
    EXPECT_EQ(std::get<Report>(received).text, "last words");
}

}  // namespace
}  // namespace preforkd
