#include "daemon/worker/datagram/receive_datagrams.hpp"

#include <sys/eventfd.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <thread>

#include "tests/process/datagram_fixture.hpp"

namespace preforkd::datagram_test {
namespace {

using namespace std::chrono_literals;

class Orders final : public StopWatch {
public:
    [[nodiscard]] int fd() const noexcept override { return event_.get(); }
    void hear() override {
        eventfd_t times = 0;
        check(::eventfd_read(event_.get(), &times), "eventfd_read");
        ++heard;
    }
    [[nodiscard]] bool hurried() const noexcept override { return hurries; }

    void give() const { check(::eventfd_write(event_.get(), 1), "eventfd_write"); }

    int heard = 0;
    bool hurries = false;

private:
    UniqueFd event_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")};
};

/// Receives one by one, as the models thread and fork do, and keeps what it got.
struct OneByOne : Bench {
    using Bench::Bench;

    int receive() { return take_with(take); }
    void serve(const AnyDatagramHandler& handler, ReceivedDatagram datagram) {
        (void)serve_datagram_here(handler, std::move(datagram), {.idle_timeout = 1s, .stop = orders, .record = record});
        acceptor.ended();
    }

    std::vector<ReceivedDatagram> got{};
    Orders orders{};
    Acceptor::Take take = receive_one_by_one({.listener = listener(), .log_connections = false, .acceptor = acceptor},
                                             [this](ReceivedDatagram datagram) { got.push_back(std::move(datagram)); });
};

TEST(ReceiveDatagrams, takes_one_datagram_at_a_time_out_of_the_kernels_queue) {
    OneByOne server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("first");
    client.say("");
    EXPECT_EQ(server.receive(), 0);
    ASSERT_EQ(server.got.size(), 1U);
    EXPECT_EQ(server.got[0].bytes.size(), 5U);
    EXPECT_EQ(server.acceptor.active(), 1U);
    EXPECT_EQ(server.receive(), 0);
    ASSERT_EQ(server.got.size(), 2U);
    EXPECT_TRUE(server.got[1].bytes.empty());
    EXPECT_EQ(server.take(server.listener().fd.get()), EAGAIN);
}

TEST(ReceiveDatagrams, serves_to_the_end_also_after_the_listener_was_closed) {
    OneByOne server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("late");
    EXPECT_EQ(server.receive(), 0);
    server.take = {};
    server.listener().fd = {};
    Handling handler{[](Datagram& request) { EXPECT_FALSE(request.reply(request.text())); }};
    server.serve(&handler, std::move(server.got.at(0)));
    EXPECT_EQ(client.hear(), "late");
    EXPECT_EQ(server.record.served, 1U);
}

TEST(ReceiveDatagrams, keeps_the_address_only_while_somebody_may_reply) {
    OneByOne server{"udp://127.0.0.1:0"};
    const SocketAddress address = SocketAddress::local_of(server.listener().fd.get());
    Client{server.listener()}.say("x");
    EXPECT_EQ(server.receive(), 0);
    server.listener().fd = {};
    const auto binds = [&] {
        const UniqueFd successor{check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
        return ::bind(successor.get(), address.data(), address.size()) == 0;
    };
    EXPECT_FALSE(binds());
    server.got.clear();
    EXPECT_TRUE(binds());
}

TEST(ReceiveDatagrams, serves_several_threads_at_once) {
    OneByOne server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    Handling handler{[](Datagram& request) { (void)request.reply(request.text()); }};
    for (int round = 0; round < 20; ++round) {
        for (int each = 0; each < 4; ++each) client.say("x");
        for (int each = 0; each < 4; ++each) EXPECT_EQ(server.receive(), 0);
        {
            std::vector<std::jthread> threads;
            for (ReceivedDatagram& datagram : server.got)
                threads.emplace_back([&, mine = std::move(datagram)]() mutable {
                    WorkerRecord record;
                    Orders orders;
                    (void)serve_datagram_here(&handler, std::move(mine),
                                              {.idle_timeout = 1s, .stop = orders, .record = record});
                });
        }
        server.got.clear();
        for (int each = 0; each < 4; ++each) EXPECT_EQ(client.hear(), "x");
    }
}

TEST(ReceiveDatagrams, runs_a_coroutine_to_its_end_and_hears_orders_meanwhile) {
    OneByOne server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("x");
    EXPECT_EQ(server.receive(), 0);
    SuspendedHandling handler{[&](Datagram& request) -> awaitable<void> {
        server.orders.give();
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
        while (server.orders.heard == 0) {
            timer.expires_after(1ms);
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
        (void)request.reply("done");
    }};
    server.serve(&handler, std::move(server.got.at(0)));
    EXPECT_EQ(client.hear(), "done");
    EXPECT_EQ(server.orders.heard, 1);
}

TEST(ReceiveDatagrams, leaves_a_coroutine_that_waits_when_there_is_no_time_left) {
    OneByOne server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("x");
    EXPECT_EQ(server.receive(), 0);
    server.orders.hurries = true;
    SuspendedHandling handler{[&](Datagram& request) -> awaitable<void> {
        server.orders.give();
        boost::asio::steady_timer never{co_await boost::asio::this_coro::executor,
                                        boost::asio::steady_timer::time_point::max()};
        co_await never.async_wait(boost::asio::use_awaitable);
        (void)request.reply("done");
    }};
    server.serve(&handler, std::move(server.got.at(0)));
    EXPECT_TRUE(client.hears_nothing());
}

TEST(ReceiveDatagrams, hands_what_a_coroutine_throws_to_handle_error) {
    OneByOne server{"udp://127.0.0.1:0"};
    Client{server.listener()}.say("x");
    EXPECT_EQ(server.receive(), 0);
    SuspendedHandling handler{[](Datagram&) -> awaitable<void> { throw 7; }};
    server.serve(&handler, std::move(server.got.at(0)));
    EXPECT_EQ(handler.errors, 1);
}

TEST(ReceiveDatagrams, leaves_out_a_datagram_that_is_too_long) {
    OneByOne server{"unixgram://@receive_datagrams_test" + std::to_string(::getpid())};
    const Client client{server.listener()};
    client.say(std::string(65'536, 'x'));
    client.say(std::string(65'535, 'y'));
    EXPECT_EQ(server.receive(), 0);
    EXPECT_TRUE(server.got.empty());
    EXPECT_EQ(server.acceptor.active(), 0U);
    EXPECT_EQ(server.receive(), 0);
    ASSERT_EQ(server.got.size(), 1U);
    EXPECT_EQ(server.got[0].bytes.size(), 65'535U);
    EXPECT_EQ(server.got[0].tally->too_long, 1U);
}

}  // namespace
}  // namespace preforkd::datagram_test
