// What the test kit promises, tried out of tree on an installed package.
#include <gtest/gtest.h>
#include <preforkd/preforkd.hpp>
#include <preforkd/test.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono_literals;
using preforkd::Model;
using preforkd::test::Client;
using preforkd::test::Datagrams;
using preforkd::test::Service;

/// Says to whom it speaks, then each line in brackets.
struct Coroutine : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        const std::string hello = address_of(client.peer()) + '\n';
        auto error = co_await client.write(hello);
        while (!error) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            if (line.line() == "throw") throw std::runtime_error{"as it was told to"};
            const std::string answer = '[' + std::string{line.line()} + "]\n";
            error = co_await client.write(answer);
        }
    }
    void handle_timeout(const preforkd::Endpoint&) override { ++timeouts; }
    void handle_error(const preforkd::Endpoint&, std::exception_ptr) override { ++errors; }
    void worker_started() override { ++started; }
    void worker_leaving() override { ++left; }
    bool verify(const preforkd::Endpoint& peer) override { return peer.host != "192.0.2.66"; }

    std::atomic<int> timeouts = 0;
    std::atomic<int> errors = 0;
    std::atomic<int> started = 0;
    std::atomic<int> left = 0;
};

struct Blocking : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; getline(client.stream(), line);) client.stream() << '[' << line << ']' << std::endl;
    }
};

std::string line_of(Client& client, const char* line) {
    client.send(line);
    return client.receive_line();
}

TEST(Kit, a_coroutine_is_served_in_every_model) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        Coroutine handler;
        Client client{handler, {.model = model}};
        EXPECT_EQ(client.receive_line(), "unnamed\n");
        EXPECT_EQ(line_of(client, "one\n"), "[one]\n") << to_string(model);
        client.send("two\n");
        EXPECT_EQ(client.receive(5), "[two]");
        client.half_close();
        EXPECT_EQ(client.receive_all(), "\n");
        client.service().stop();
        EXPECT_EQ(handler.started, 1);
        EXPECT_EQ(handler.left, 1);
    }
}

TEST(Kit, code_that_blocks_is_served_in_every_model_but_async) {
    for (const Model model : {Model::Serial, Model::Thread, Model::Fork}) {
        Blocking handler;
        Client client{handler, {.model = model}};
        EXPECT_EQ(line_of(client, "one\n"), "[one]\n") << to_string(model);
    }
    Blocking handler;
    EXPECT_THROW((Client{handler, {.model = Model::Async}}), std::invalid_argument);
}

TEST(Kit, a_client_may_pretend_to_be_anybody) {
    Coroutine handler;
    Service service{handler};
    Client four{service, "tcp://192.0.2.7:4711"};
    EXPECT_EQ(four.receive_line(), "192.0.2.7:4711\n");
    Client six{service, "tcp://[2001:db8::7]:4711"};
    EXPECT_EQ(six.receive_line(), "[2001:db8::7]:4711\n");
    Client refused{service, "tcp://192.0.2.66:1"};
    EXPECT_EQ(refused.receive(), "");
    EXPECT_THROW((Client{service, "unix:///somewhere"}), std::invalid_argument);
}

TEST(Kit, a_drain_leaves_what_runs_its_time) {
    Coroutine handler;
    Client client{handler};
    EXPECT_EQ(client.receive_line(), "unnamed\n");
    client.service().drain();
    EXPECT_EQ(line_of(client, "still\n"), "[still]\n");
    client.half_close();
    EXPECT_EQ(client.receive_all(), "");
    client.service().stop();
    EXPECT_EQ(handler.left, 1);
    EXPECT_ANY_THROW(Client{client.service()}) << "nobody new";
}

TEST(Kit, a_stop_ends_those_who_wait_for_their_client_when_their_time_is_up) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        Coroutine handler;
        Client client{handler, {.model = model}};
        EXPECT_EQ(line_of(client, "one\n"), "unnamed\n");
        EXPECT_EQ(client.receive_line(), "[one]\n");
        client.service().drain();
        Service::advance_clock(29s);
        EXPECT_EQ(line_of(client, "two\n"), "[two]\n") << to_string(model);
        Service::advance_clock(2s);
        EXPECT_EQ(client.receive(), "") << to_string(model);
        client.service().stop();
    }
}

template <class Handler>
void expect_idle_timeout(Model model) {
    Handler handler;
    Client client{handler, {.model = model}};
    EXPECT_EQ(line_of(client, "one\n").back(), '\n');
    Service::advance_clock(59s);
    client.send("two\n");
    EXPECT_EQ(client.receive_until("[two]\n").substr(0, 1), "[") << to_string(model);
    Service::advance_clock(61s);
    EXPECT_EQ(client.receive(), "") << to_string(model);
    client.service().stop();
    if constexpr (requires { handler.timeouts; })
        EXPECT_EQ(handler.timeouts, model == Model::Fork ? 0 : 1) << "a child has a handler of its own";
}

TEST(Kit, a_silent_client_is_waited_for_as_long_as_the_clock_says) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork})
        expect_idle_timeout<Coroutine>(model);
    for (const Model model : {Model::Serial, Model::Thread, Model::Fork}) expect_idle_timeout<Blocking>(model);
}

/// Says `tick` once a minute.
struct Ticking : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
        for (;;) {
            timer.expires_after(1min);
            co_await timer.async_wait(boost::asio::use_awaitable);
            const auto error = co_await client.write("tick\n");
            if (error) co_return;
        }
    }
};

TEST(Kit, timers_of_the_handler_s_own_go_by_the_same_clock) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        Ticking handler;
        Client client{handler, {.model = model, .stop_timeout = 1ms}};
        for (int minute = 0; minute < 3; ++minute) {
            Service::advance_clock(1min);
            EXPECT_EQ(client.receive(), "tick\n") << to_string(model);
        }
    }
}

TEST(Kit, what_serve_throws_ends_its_request_alone) {
    Coroutine handler;
    Service service{handler};
    Client client{service};
    EXPECT_EQ(client.receive_line(), "unnamed\n");
    client.send("throw\n");
    EXPECT_EQ(client.receive(), "");
    Client other{service};
    EXPECT_EQ(other.receive_line(), "unnamed\n");
    other.close();
    service.stop();
    EXPECT_EQ(handler.errors, 1);
}

TEST(Kit, what_worker_started_throws_is_thrown_by_stop) {
    struct Failing : Blocking {
        void worker_started() override { throw std::runtime_error{"no database"}; }
    } handler;
    Service service{handler};
    EXPECT_THROW(service.stop(), std::runtime_error);
}

/// Says to whom it speaks, and what that has said; nothing to whoever says nothing.
struct Datagrammatic : preforkd::DatagramHandler {
    void serve(preforkd::Datagram& request) override {
        ++served;
        if (request.text() == "throw") throw std::runtime_error{"as it was told to"};
        if (!request.text().empty())
            request.reply(address_of(request.peer()) + " [" + std::string{request.text()} + ']');
    }
    bool verify(const preforkd::Endpoint& peer) override { return peer.host != "192.0.2.66"; }
    void handle_error(const preforkd::Endpoint&, std::exception_ptr) override { ++errors; }
    void worker_leaving() override { ++left; }

    std::atomic<int> served = 0;
    std::atomic<int> errors = 0;
    std::atomic<int> left = 0;
};

/// Answers a minute later.
struct SlowDatagrams : preforkd::AsyncDatagramHandler {
    preforkd::awaitable<void> serve(preforkd::Datagram& request) override {
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, 1min};
        co_await timer.async_wait(boost::asio::use_awaitable);
        (void)request.reply(request.text());
    }
};

TEST(Kit, datagrams_are_served_in_every_model) {
    for (const Model model : {Model::Serial, Model::Async, Model::Thread, Model::Fork}) {
        Datagrammatic handler;
        Datagrams sender{handler, {.model = model}, "udp://192.0.2.7:4711"};
        for (const std::string text : {"one", "two"}) {
            sender.send(text);
            EXPECT_EQ(sender.receive(), "192.0.2.7:4711 [" + text + "]") << to_string(model);
        }
        sender.send("");
        EXPECT_EQ(sender.try_receive(), std::nullopt) << to_string(model);
        sender.send("throw");
        sender.send("three");
        EXPECT_EQ(sender.receive(), "192.0.2.7:4711 [three]") << to_string(model);
        sender.service().stop();
        EXPECT_EQ(handler.left, 1);
        if (model == Model::Fork) continue;  // its children have handlers of their own
        EXPECT_EQ(handler.served, 5);
        EXPECT_EQ(handler.errors, 1);
    }
}

TEST(Kit, senders_are_several_and_may_be_refused) {
    Datagrammatic handler;
    Service service{handler};
    Datagrams first{service, "udp://[2001:db8::7]:1"};
    Datagrams refused{service, "udp://192.0.2.66:1"};
    Datagrams nobody{service};
    for (Datagrams* each : {&first, &refused, &nobody}) each->send("x");
    EXPECT_EQ(first.receive(), "[2001:db8::7]:1 [x]");
    EXPECT_EQ(nobody.receive().back(), ']');
    EXPECT_EQ(refused.try_receive(), std::nullopt);
    EXPECT_THROW((Datagrams{service, "tcp://192.0.2.7:1"}), std::invalid_argument);
    EXPECT_THROW(Client{service}, std::runtime_error);
}

TEST(Kit, coroutines_of_datagrams_go_by_the_clock_of_the_test) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        SlowDatagrams handler;
        Datagrams sender{handler, {.model = model}};
        sender.send("late");
        Service::advance_clock(59s);
        EXPECT_EQ(sender.try_receive(), std::nullopt) << to_string(model);
        Service::advance_clock(2s);
        EXPECT_EQ(sender.receive(), "late") << to_string(model);
    }
}

TEST(Kit, a_handler_of_both_serves_what_it_is_asked_for) {
    struct Both : preforkd::BlockingHandler, preforkd::DatagramHandler {
        void serve(preforkd::BlockingConnection& client) override { client.stream() << "a connection"; }
        void serve(preforkd::Datagram& request) override { (void)request.reply("a datagram"); }
    } handler;
    Client client{handler};
    EXPECT_EQ(client.receive_all(), "a connection");
    Datagrams sender{handler};
    sender.send("");
    EXPECT_EQ(sender.receive(), "a datagram");
}

TEST(Kit, an_entry_makes_its_own_instance) {
    Service service{preforkd::handler<Blocking>("blocking")};
    Client client{service};
    EXPECT_EQ(line_of(client, "one\n"), "[one]\n");
}

}  // namespace
