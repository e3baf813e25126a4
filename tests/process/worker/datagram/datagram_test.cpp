#include "preforkd/datagram.hpp"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <filesystem>

#include "daemon/worker/datagram/datagram_batch.hpp"
#include "tests/process/datagram_fixture.hpp"

namespace preforkd::datagram_test {
namespace {

using namespace std::chrono_literals;

/// Serves in batches, as the models async and serial do.
struct InBatches : Bench {
    using Bench::Bench;

    int serve(DatagramHandler& handler) { return take_with(batches.receive(inlet(), handler)); }
    [[nodiscard]] DatagramInlet inlet(std::size_t limit = 1024) {
        return {.listener = listener(), .log_connections = false, .acceptor = acceptor, .limit = limit};
    }

    DatagramBatches batches{};
};

std::string unix_path() {
    return "unixgram://" +
           (std::filesystem::temp_directory_path() / ("datagram_test" + std::to_string(::getpid()))).string();
}

TEST(Datagram, has_the_text_the_sender_and_the_address_it_was_sent_to) {
    InBatches server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("hello");
    Handling handler{[&](Datagram& request) {
        EXPECT_EQ(request.text(), "hello");
        EXPECT_EQ(request.peer().host, "127.0.0.1");
        EXPECT_EQ(request.local(), server.listener().local);
        EXPECT_TRUE(request.can_reply());
        EXPECT_FALSE(request.reply("good bye"));
    }};
    EXPECT_EQ(server.serve(handler), 0);
    EXPECT_EQ(client.hear(), "good bye");
    EXPECT_EQ(server.record.served, 1U);
}

TEST(Datagram, of_an_unnamed_unix_sender_cannot_be_replied_to) {
    InBatches server{unix_path()};
    const Client client{server.listener(), Client::Name::None};
    client.say("hello");
    Handling handler{[&](Datagram& request) {
        EXPECT_FALSE(request.can_reply());
        EXPECT_EQ(request.peer().path, "");
        EXPECT_EQ(request.local(), server.listener().local);
        EXPECT_EQ(request.reply("who?"), std::errc::destination_address_required);
    }};
    EXPECT_EQ(server.serve(handler), 0);
    EXPECT_EQ(server.record.served, 1U);
}

TEST(Datagram, reports_a_reply_that_no_transport_carries) {
    for (const std::string& endpoint : {std::string{"udp://127.0.0.1:0"}, unix_path()}) {
        InBatches server{endpoint};
        const Client client{server.listener()};
        client.say("how long?");
        Handling handler{[](Datagram& request) {
            EXPECT_EQ(request.reply(std::string(10'000'000, 'x')), std::errc::message_size);
            EXPECT_FALSE(request.reply("shorter"));
        }};
        EXPECT_EQ(server.serve(handler), 0);
        EXPECT_EQ(client.hear(), "shorter");
    }
}

TEST(Datagram, replies_leave_in_the_order_they_were_given_long_or_short) {
    InBatches server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("count");
    Handling handler{[](Datagram& request) {
        for (int number = 0; number < 100; ++number)
            EXPECT_FALSE(request.reply(std::to_string(number) + std::string(number % 7 == 0 ? 5000 : 3, '.')));
    }};
    EXPECT_EQ(server.serve(handler), 0);
    for (int number = 0; number < 100; ++number)
        ASSERT_EQ(client.hear().find(std::to_string(number) + "..."), 0U) << number;
}

TEST(Datagram, of_a_peer_that_is_not_verified_is_dropped_without_a_word) {
    InBatches server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("let me in");
    Handling handler{[](Datagram& request) { (void)request.reply("welcome"); }};
    handler.verifies = [](const Endpoint& peer) { return peer.host != "127.0.0.1"; };
    EXPECT_EQ(server.serve(handler), 0);
    EXPECT_TRUE(client.hears_nothing());
    EXPECT_EQ(server.acceptor.active(), 0U);
}

TEST(Datagram, whose_handler_throws_anything_ends_alone) {
    InBatches server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    Handling handler{[](Datagram& request) {
        if (request.text() == "exception") throw std::runtime_error{"no"};
        if (request.text() == "number") throw 7;
        (void)request.reply(request.text());
    }};
    const auto take = server.batches.receive(server.inlet(), handler);
    for (const char* text : {"exception", "number", "fine"}) client.say(text);
    handler.fails_at_errors = true;
    while (server.record.served < 3) EXPECT_EQ(server.take_with(take), 0);
    EXPECT_EQ(client.hear(), "fine");
    EXPECT_EQ(handler.errors, 2);
    EXPECT_EQ(server.acceptor.active(), 0U);
}

TEST(Datagram, socket_errors_of_earlier_replies_do_not_stop_the_receiver) {
    InBatches server{"udp://127.0.0.1:0"};
    const int on = 1;
    check(::setsockopt(server.listener().fd.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof on), "IP_RECVERR");
    Handling handler{[](Datagram& request) { (void)request.reply(request.text()); }};
    const auto take = server.batches.receive(server.inlet(), handler);
    const Client client{server.listener()};
    for (int round = 0; round < 10; ++round) {
        { Client{server.listener()}.say("gone"); }  // the reply meets a closed port
        EXPECT_EQ(server.take_with(take), 0);
        client.say("here");
        EXPECT_EQ(server.take_with(take), 0);
        EXPECT_EQ(client.hear(), "here");
    }
    EXPECT_EQ(take(server.listener().fd.get()), EAGAIN);
}

TEST(Datagram, batches_grow_while_the_handler_is_quick) {
    InBatches server{"udp://127.0.0.1:0"};
    Handling handler{[](Datagram&) {}};
    const auto take = server.batches.receive(server.inlet(), handler);
    const Client client{server.listener()};
    for (int number = 0; number < 64; ++number) client.say("x");
    int takes = 0;
    for (; server.record.served < 64; ++takes) ASSERT_EQ(server.take_with(take), 0);
    EXPECT_LT(takes, 32);
    EXPECT_EQ(take(server.listener().fd.get()), EAGAIN);
}

TEST(Datagram, of_a_slow_handler_does_not_keep_others_from_the_siblings) {
    InBatches server{"udp://127.0.0.1:0"};
    Handling handler{[](Datagram&) {
        const auto end = Clock::now() + 2ms;
        while (Clock::now() < end) {}
    }};
    const auto take = server.batches.receive(server.inlet(), handler);
    const Client client{server.listener()};
    for (int number = 0; number < 8; ++number) client.say("x");
    for (std::uint64_t served = 1; served <= 8; ++served) {
        ASSERT_EQ(server.take_with(take), 0);
        EXPECT_EQ(server.record.served, served);
    }
}

/// Takes from within the loop, as a worker does: there a coroutine starts at once.
int take_inside(Loop& loop, Bench& server, const Acceptor::Take& take) {
    int error = 0;
    boost::asio::post(loop.reactor.context, [&] { error = server.take_with(take); });
    loop.reactor.context.restart();
    loop.reactor.context.poll();
    return error;
}

/// Coroutines that wait until the test lets them go.
struct Suspended : InBatches {
    using InBatches::InBatches;
    Loop loop{record, 0ms, 1};
    boost::asio::steady_timer barrier{loop.reactor.context, boost::asio::steady_timer::time_point::max()};
    SuspendedHandling handler{[this](Datagram& request) -> awaitable<void> {
        boost::system::error_code ignored;
        co_await barrier.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        (void)request.reply(request.text());
    }};
    void let_go() {
        barrier.cancel();
        loop.reactor.context.restart();
        loop.reactor.context.poll();
    }
};

TEST(AsyncDatagram, requests_are_bounded_and_go_on_when_they_like) {
    Suspended server{"udp://127.0.0.1:0"};
    const auto take = server.batches.receive(server.inlet(3), server.handler, server.loop);
    const Client client{server.listener()};
    for (const char* text : {"a", "b", "c", "d"}) client.say(text);
    while (server.acceptor.active() < 3) ASSERT_EQ(take_inside(server.loop, server, take), 0);
    EXPECT_TRUE(client.hears_nothing());
    EXPECT_EQ(server.record.state, WorkerState::WaitingForClient) << "a suspended coroutine holds no thread";
    server.let_go();
    std::vector<std::string> heard{client.hear(), client.hear(), client.hear()};
    EXPECT_THAT(heard, ::testing::UnorderedElementsAre("a", "b", "c"));
    EXPECT_EQ(server.acceptor.active(), 0U);
    EXPECT_TRUE(testing::is_readable(server.listener().fd.get())) << "the fourth waits in the kernel's queue";
}

TEST(AsyncDatagram, requests_are_answered_after_the_listener_was_closed) {
    Suspended server{"udp://127.0.0.1:0"};
    const Client client{server.listener()};
    client.say("late");
    {
        const auto take = server.batches.receive(server.inlet(), server.handler, server.loop);
        EXPECT_EQ(take_inside(server.loop, server, take), 0);
    }
    server.listener().fd = {};
    const UniqueFd other{
        check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};  // the number may be somebody else's now
    server.let_go();
    EXPECT_EQ(client.hear(), "late");
}

TEST(AsyncDatagram, that_never_waits_is_answered_with_its_batch) {
    InBatches server{"udp://127.0.0.1:0"};
    Loop loop{server.record, 0ms, 1};
    SuspendedHandling handler{[](Datagram& request) -> awaitable<void> {
        if (request.text() == "bad") throw std::runtime_error{"no"};
        (void)request.reply(request.text());
        co_return;
    }};
    const auto take = server.batches.receive(server.inlet(), handler, loop);
    const Client client{server.listener()};
    for (const char* text : {"a", "bad", "b"}) client.say(text);
    while (server.record.served < 3) ASSERT_EQ(take_inside(loop, server, take), 0);
    EXPECT_EQ(client.hear(), "a");
    EXPECT_EQ(client.hear(), "b");
    EXPECT_EQ(handler.errors, 1);
}

}  // namespace
}  // namespace preforkd::datagram_test
