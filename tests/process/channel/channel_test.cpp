#include "common/channel/channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <csignal>

#include "common/base/passed_descriptors.hpp"
#include "common/base/sys_error.hpp"
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

int lowest_free_descriptor() { return UniqueFd{check(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "dup")}.get(); }

class Channel : public ::testing::Test {
protected:
    Report report() { return std::get<Report>(receive_report(pair.master.reports.get())); }
    ReceivedOrder order() { return std::get<ReceivedOrder>(receive_order(pair.worker.orders.get())); }

    ChannelPair pair = open_channel();
};

TEST_F(Channel, both_ends_are_close_on_exec_and_non_blocking) {
    for (const int end :
         {pair.master.orders.get(), pair.master.reports.get(), pair.worker.orders.get(), pair.worker.reports.get()}) {
        EXPECT_NE(::fcntl(end, F_GETFD) & FD_CLOEXEC, 0);
        EXPECT_NE(::fcntl(end, F_GETFL) & O_NONBLOCK, 0);
    }
}

TEST_F(Channel, orders_cross_in_their_order) {
    send_order(pair.master.orders.get(), Order::EmptyQueue);
    send_order(pair.master.orders.get(), Order::LookForClients);
    send_order(pair.master.orders.get(), Order::EmptyQueue, 3);
    const ReceivedOrder first = order();
    EXPECT_EQ(first.order, Order::EmptyQueue);
    EXPECT_EQ(first.argument, every_listener);
    EXPECT_EQ(order().order, Order::LookForClients);
    EXPECT_EQ(order().argument, 3U);
    EXPECT_TRUE(is<NothingYet>(receive_order(pair.worker.orders.get())));
}

TEST_F(Channel, reports_cross_in_their_order_with_their_text) {
    send_report(pair.worker.reports.get(), Report::Kind::Ready);
    send_report(pair.worker.reports.get(), Report::Kind::Failed, "bind: no");
    const Report first = report();
    EXPECT_EQ(first.kind, Report::Kind::Ready);
    EXPECT_EQ(first.text, "");
    const Report second = report();
    EXPECT_EQ(second.kind, Report::Kind::Failed);
    EXPECT_EQ(second.text, "bind: no");
    EXPECT_TRUE(is<NothingYet>(receive_report(pair.master.reports.get())));
}

TEST_F(Channel, a_copy_says_how_much_time_it_needs) {
    send_report(pair.worker.reports.get(), Report::Kind::Extend, "2500");
    const Report only = report();
    EXPECT_EQ(only.kind, Report::Kind::Extend);
    EXPECT_EQ(only.text, "2500");
}

TEST_F(Channel, a_report_is_cut_at_1024_bytes) {
    send_report(pair.worker.reports.get(), Report::Kind::Failed, std::string(1024, 'a'));
    send_report(pair.worker.reports.get(), Report::Kind::Failed, std::string(1025, 'b'));
    send_report(pair.worker.reports.get(), Report::Kind::Failed, std::string(1'000'000, 'c'));
    EXPECT_EQ(report().text, std::string(1024, 'a'));
    EXPECT_EQ(report().text, std::string(1024, 'b'));
    EXPECT_EQ(report().text, std::string(1024, 'c'));
    EXPECT_TRUE(is<NothingYet>(receive_report(pair.master.reports.get()))) << "the rest must not look like a report";
}

TEST_F(Channel, the_text_of_a_report_is_one_printable_line) {
    send_report(pair.worker.reports.get(), Report::Kind::Failed, "a\n\x1b[2Jforged \xff");
    EXPECT_EQ(report().text, R"("a\n\x1b[2Jforged \xff")");
}

TEST_F(Channel, what_no_worker_sends_is_no_report) {
    using namespace std::string_view_literals;
    for (const std::string_view forged :
         {"\4\0\0\0"sv, "\7\0\0\0"sv, "\6\0\x15\0more digits than a number has"sv, "\xff\0\0\0"sv, "\1\0\4\0text"sv,
          "\3"sv, "\3\0\4\0tex"sv, "\3\0\1\4and more than a text may have"sv}) {
        ChannelPair other = open_channel();
        ASSERT_EQ(::write(other.worker.reports.get(), forged.data(), forged.size()),
                  static_cast<ssize_t>(forged.size()));
        EXPECT_TRUE(is<NoReport>(receive_report(other.master.reports.get()))) << forged.size();
    }
}

TEST_F(Channel, nothing_can_be_sent_to_the_master_but_reports) {
    EXPECT_TRUE(send_order(pair.worker.orders.get(), Order::LookForClients));
    EXPECT_EQ(::send(pair.worker.orders.get(), "", 1, MSG_NOSIGNAL), -1);
    EXPECT_EQ(errno, EPIPE);
    int queued = -1;
    EXPECT_EQ(::ioctl(pair.master.orders.get(), FIONREAD, &queued), 0);
    EXPECT_EQ(queued, 0);
    EXPECT_EQ(::send(pair.worker.reports.get(), "", 1, 0), -1) << "no socket, so no descriptor travels over it";
    EXPECT_EQ(errno, ENOTSOCK);
}

TEST_F(Channel, what_was_said_before_the_end_is_heard_before_the_end) {
    send_report(pair.worker.reports.get(), Report::Kind::Failed, "last words");
    pair.worker = {};
    EXPECT_EQ(report().text, "last words");
    for (int again = 0; again < 2; ++again) EXPECT_TRUE(is<PeerGone>(receive_report(pair.master.reports.get())));
}

TEST_F(Channel, the_worker_learns_of_the_masters_end) {
    send_order(pair.master.orders.get(), Order::EmptyQueue);
    pair.master = {};
    EXPECT_EQ(order().order, Order::EmptyQueue);
    EXPECT_TRUE(is<PeerGone>(receive_order(pair.worker.orders.get())));
}

TEST_F(Channel, a_killed_process_ends_its_channel) {
    const ChildProcess child = spawn([&] {
        pair.master = {};
        send_report(pair.worker.reports.get(), Report::Kind::Ready);
        ::pause();
        return 0;
    });
    pair.worker = {};
    ASSERT_TRUE(comes(pair.master.reports.get()));
    EXPECT_EQ(report().kind, Report::Kind::Ready);
    child.signal(SIGKILL);
    ASSERT_TRUE(comes(pair.master.reports.get()));
    EXPECT_TRUE(is<PeerGone>(receive_report(pair.master.reports.get())));
    EXPECT_EQ(end_of(child), testing::killed(SIGKILL));
}

TEST_F(Channel, sending_to_a_peer_that_is_gone_does_nothing) {
    pair.worker = {};
    EXPECT_TRUE(send_order(pair.master.orders.get(), Order::EmptyQueue)) << "there is nobody to send it to again";
    ChannelPair other = open_channel();
    other.master = {};
    const auto before = std::signal(SIGPIPE, SIG_IGN);  // as workers have it
    send_report(other.worker.reports.get(), Report::Kind::Paused);
    std::signal(SIGPIPE, before);
}

TEST_F(Channel, a_full_queue_neither_blocks_nor_loses_its_beginning) {
    send_order(pair.master.orders.get(), Order::EmptyQueue);
    send_report(pair.worker.reports.get(), Report::Kind::Ready);
    for (int n = 0; n < 20'000; ++n) {
        send_order(pair.master.orders.get(), Order::LookForClients);
        send_report(pair.worker.reports.get(), Report::Kind::Paused);
    }
    EXPECT_FALSE(send_order(pair.master.orders.get(), Order::EmptyQueue)) << "it has to be sent again";
    EXPECT_EQ(order().order, Order::EmptyQueue);
    EXPECT_EQ(report().kind, Report::Kind::Ready);
    int orders = 0;
    while (is<ReceivedOrder>(receive_order(pair.worker.orders.get()))) ++orders;
    EXPECT_GT(orders, 0);
    EXPECT_LT(orders, 20'000) << "the queue was not full";
    EXPECT_TRUE(send_order(pair.master.orders.get(), Order::EmptyQueue));
    EXPECT_EQ(order().order, Order::EmptyQueue) << "a queue that was emptied takes orders again";
}

TEST_F(Channel, descriptors_that_come_along_are_not_taken) {
    const testing::Pipe pipe = testing::make_pipe();
    std::uint8_t zero = 0;
    iovec part{&zero, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const std::array passed{pipe.reader.get(), pipe.writer.get()};
    const PassedDescriptors<2> descriptors{message, passed};
    ASSERT_EQ(::sendmsg(pair.master.orders.get(), &message, 0), 1);
    const int lowest_free = lowest_free_descriptor();
    EXPECT_EQ(order().order, Order::LookForClients);
    EXPECT_EQ(lowest_free_descriptor(), lowest_free);
}

}  // namespace
}  // namespace preforkd
