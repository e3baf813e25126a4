#include "preforkd/blocking_connection.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/worker/stream/blocking_core.hpp"
#include "here.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace testing;

/// What the client does meanwhile; joined at the end of the test.
class BlockingConnectionTest : public ::testing::Test {
protected:
    void meanwhile(std::function<void()> what) { others_.emplace_back(std::move(what)); }

    void join_others() {
        for (std::thread& other : others_) other.join();
        others_.clear();
    }

    void TearDown() override {
        core.fd = UniqueFd{};
        join_others();
    }

    Client client{};
    Whistle whistle{};
    WorkerRecord record{};
    const ServeHere how{.idle_timeout = 30s, .stop = whistle, .record = record};
    BlockingCore core{std::move(client.accepted), client.address, how};
    BlockingConnection served{core};

private:
    std::vector<std::thread> others_{};
};

TEST_F(BlockingConnectionTest, reads_what_there_is_without_waiting_for_more) {
    client.send("some");
    EXPECT_EQ(served.read_some().text(), "some");
    EXPECT_EQ(whistle.first_waits, 0);
}

TEST_F(BlockingConnectionTest, says_that_it_waits_for_the_client_while_it_does) {
    enter(record, WorkerState::InHandler);
    meanwhile([&] {
        wait_for(record, WorkerState::WaitingForClient);
        client.send("late");
    });
    EXPECT_EQ(served.read_some().text(), "late");
    EXPECT_EQ(record.state.load(), WorkerState::InHandler);
    EXPECT_EQ(whistle.first_waits, 1);
}

TEST_F(BlockingConnectionTest, the_half_close_of_a_client_ends_its_input_only) {
    client.send("all");
    client.half_close();
    EXPECT_EQ(served.read_some().text(), "all");
    const Received end = served.read_some();
    EXPECT_FALSE(end);
    EXPECT_FALSE(end.error);
    EXPECT_FALSE(served.write("reply"));
    EXPECT_EQ(client.read_some(), "reply");
}

TEST_F(BlockingConnectionTest, gives_up_a_silent_client_after_the_timeout) {
    served.timeout(20ms);
    EXPECT_EQ(served.read_some().error, std::errc::timed_out);
    EXPECT_EQ(served.last_error(), std::errc::timed_out);
    EXPECT_TRUE(core.timed_out);
}

TEST_F(BlockingConnectionTest, gives_up_a_client_that_does_not_read_after_the_timeout) {
    served.timeout(20ms);
    EXPECT_EQ(served.write(std::string(64 << 20, 'x')), std::errc::timed_out);
}

TEST_F(BlockingConnectionTest, writes_all_to_a_client_that_reads_slowly) {
    const std::string text(8 << 20, 'x');
    std::string received;
    meanwhile([&] {
        wait_for(record, WorkerState::WaitingForClient);  // all buffers are full
        received = client.read_rest();
    });
    EXPECT_FALSE(served.write(text));
    EXPECT_FALSE(served.half_close());
    join_others();
    EXPECT_EQ(received, text);
}

TEST_F(BlockingConnectionTest, stops_waiting_when_the_worker_has_to_hurry) {
    meanwhile([&] {
        wait_for(record, WorkerState::WaitingForClient);
        whistle.blow();
    });
    EXPECT_EQ(served.read_some().error, std::errc::operation_canceled);
    EXPECT_EQ(served.read_some().error, std::errc::operation_canceled) << "and waits no more";
    EXPECT_GT(whistle.heard, 0);
    EXPECT_FALSE(core.timed_out);
}

TEST_F(BlockingConnectionTest, a_signal_does_not_end_a_wait) {
    struct sigaction before {};
    struct sigaction interrupting {};
    interrupting.sa_handler = [](int) {};  // without SA_RESTART
    ::sigaction(SIGUSR1, &interrupting, &before);
    meanwhile([&, waiter = ::pthread_self()] {
        wait_for(record, WorkerState::WaitingForClient);
        for (int times = 0; times < 20; ++times) ::pthread_kill(waiter, SIGUSR1);
        client.send("after all");
    });
    EXPECT_EQ(served.read_some().text(), "after all");
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(BlockingConnectionTest, a_client_that_has_gone_is_an_error_and_no_signal) {
    client.fd = UniqueFd{};
    std::error_code error;
    while (!error) error = served.write(std::string(1 << 16, 'x'));
    EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset) << error.message();
    EXPECT_EQ(served.last_error(), error);
}

TEST_F(BlockingConnectionTest, the_last_bytes_and_the_end_go_out_together) {
    EXPECT_FALSE(served.write_last("bye"));
    EXPECT_EQ(client.read_rest(), "bye");
    client.send("heard");
    EXPECT_EQ(served.read_some().text(), "heard") << "reading goes on";
}

TEST_F(BlockingConnectionTest, so_many_bytes_come_together_and_the_rest_is_kept) {
    client.send("12");
    meanwhile([&] {
        wait_for(record, WorkerState::WaitingForClient);
        client.send("345rest");
        client.half_close();
    });
    EXPECT_EQ(served.peek(3).text(), "123");
    EXPECT_EQ(served.read_exactly(4).text(), "1234");
    EXPECT_EQ(served.buffered().text(), "5rest");
    EXPECT_TRUE(served.next_request()) << "whose first bytes have come along";
    EXPECT_EQ(served.read_some(2).text(), "5r");
    std::array<std::byte, 2> space{};
    EXPECT_EQ(served.read_exactly(space).text(), "es");
    EXPECT_EQ(served.read_exactly(2).error, std::errc::connection_aborted) << "one is there";
    EXPECT_EQ(served.last_error(), std::errc::connection_aborted);
    EXPECT_EQ(served.read_some(space).text(), "t");
    const Received over = served.read_exactly(1);
    EXPECT_FALSE(over || over.error);
    EXPECT_EQ(served.read_exactly(BufferPool::buffer_bytes + 1).error, std::errc::message_size);
}

TEST_F(BlockingConnectionTest, more_than_a_buffer_holds_comes_into_the_handlers_own) {
    const std::string text(1 << 20, 'x');
    meanwhile([&] { client.send(text); });
    EXPECT_EQ(served.read_exactly(1).text(), "x");
    std::vector<std::byte> space(text.size() - 1);
    EXPECT_EQ(served.read_exactly(space).text(), text.substr(1));
    join_others();  // who sends `text`
}

TEST_F(BlockingConnectionTest, parts_are_written_as_one_behind_what_the_stream_holds) {
    served.stream() << "held ";
    EXPECT_FALSE(served.write({"head ", std::string{"body"}}));
    EXPECT_EQ(client.read_some(), "held head body");
    const std::string much(4 << 20, 'x');
    std::string received;
    meanwhile([&] { received = client.read_rest(); });
    EXPECT_FALSE(served.write_last({much, "", "end"}));
    join_others();
    EXPECT_TRUE(received == much + "end");
}

TEST_F(BlockingConnectionTest, lines_come_and_go_through_the_stream) {
    client.send("one\ntwo words\n3 4\n");
    client.half_close();
    std::string first;
    std::string second;
    int three = 0;
    int four = 0;
    std::getline(served.stream(), first);
    std::getline(served.stream(), second);
    served.stream() >> three >> four;
    EXPECT_EQ(first, "one");
    EXPECT_EQ(second, "two words");
    EXPECT_EQ(three + four, 7);
    std::string nothing;
    EXPECT_FALSE(served.stream() >> nothing);
    EXPECT_TRUE(served.stream().eof() && !served.stream().bad());
}

TEST_F(BlockingConnectionTest, the_end_of_the_input_does_not_end_the_output) {
    client.send("a\nb");  // whose last line has no end: reading it sets eofbit
    client.half_close();
    auto& stream = served.stream();
    int lines = 0;
    for (std::string line; std::getline(stream, line);) stream << ++lines << ' ';
    EXPECT_TRUE(stream.eof());
    stream << "in " << std::string{"all"} << std::flush << std::endl;
    stream.put('!').write("?", 1);
    stream.write(".", 1).flush();
    std::ostream& output = stream;
    output << lines;
    EXPECT_TRUE(served.output().good());
    EXPECT_FALSE(served.input());
    EXPECT_FALSE(served.half_close());
    EXPECT_EQ(client.read_rest(), "1 2 in all\n!?.2");
}

TEST_F(BlockingConnectionTest, what_the_stream_holds_goes_out_when_flushed_and_before_what_is_written) {
    served.stream() << "held";
    EXPECT_FALSE(is_readable(client.fd.get()));
    served.stream() << std::flush;
    EXPECT_EQ(client.read_some(), "held");
    served.stream() << "one ";
    EXPECT_FALSE(served.write_last("two"));
    EXPECT_EQ(client.read_rest(), "one two");
}

TEST_F(BlockingConnectionTest, what_the_stream_holds_goes_out_before_input_is_waited_for) {
    meanwhile([&] {
        if (client.read_some() == "name? ") client.send("Alice\n");
    });
    std::string name;
    served.stream() << "name? ";
    served.stream() >> name;
    EXPECT_EQ(name, "Alice");
}

TEST_F(BlockingConnectionTest, the_stream_writes_more_than_its_buffer_holds) {
    const std::string text(3 << 20, 'x');
    std::string received;
    meanwhile([&] { received = client.read_rest(); });
    for (int part = 0; part < 1000; ++part) served.stream() << text.substr(0, 1000);
    served.stream() << text.substr(1'000'000) << std::flush;
    EXPECT_TRUE(served.stream().good());
    EXPECT_FALSE(served.half_close());
    join_others();
    EXPECT_EQ(received, text);
}

TEST_F(BlockingConnectionTest, a_failure_makes_the_stream_bad_and_says_which) {
    served.timeout(20ms);
    std::string line;
    EXPECT_FALSE(std::getline(served.stream(), line));
    EXPECT_TRUE(served.stream().bad());
    EXPECT_EQ(served.last_error(), std::errc::timed_out);

    served.stream().clear();
    served.stream() << std::string(64 << 20, 'x') << std::flush;
    EXPECT_TRUE(served.stream().bad());
}

TEST_F(BlockingConnectionTest, knows_both_ends) {
    EXPECT_EQ(to_string(served.peer()), to_string(SocketAddress::local_of(client.fd.get()).to_endpoint(SOCK_STREAM)));
    EXPECT_EQ(to_string(served.local()), to_string(SocketAddress::peer_of(client.fd.get()).to_endpoint(SOCK_STREAM)));
}

}  // namespace
}  // namespace preforkd
