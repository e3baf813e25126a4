#include "daemon/worker/loop/reactor.hpp"

#include <fcntl.h>

#include <string>

#include "daemon/worker/loop/asio_reactor.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/reactors.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {

std::unique_ptr<Reactor> testing::make_reactor(ReactorKind kind) {
    if (kind == ReactorKind::Asio) return std::make_unique<AsioReactor>();
    return std::make_unique<EpollReactor>();
}

namespace {

using namespace std::chrono_literals;
using testing::play;

class Reactors : public ::testing::TestWithParam<testing::ReactorKind> {
protected:
    std::unique_ptr<Reactor> reactor = testing::make_reactor(GetParam());
};

TEST_P(Reactors, a_timer_rings_once_and_never_early) {
    const auto timer = reactor->make_timer();
    const auto start = Clock::now();
    int rings = 0;
    timer->set(20ms, [&] {
        ++rings;
        EXPECT_GE(Clock::now() - start, 20ms);
    });
    EXPECT_TRUE(play(*reactor, {{[&] { return Clock::now() - start > 50ms; }}}));
    EXPECT_EQ(rings, 1);
}

TEST_P(Reactors, timers_ring_in_the_order_of_their_deadlines) {
    std::string order;
    std::vector<std::unique_ptr<Timer>> timers;
    for (const int ms : {30, 10, 20}) {
        timers.push_back(reactor->make_timer());
        timers.back()->set(std::chrono::milliseconds{ms}, [&order, ms] { order += std::to_string(ms) + ' '; });
    }
    EXPECT_TRUE(play(*reactor, {{[&] { return order.size() == 9; }}}));
    EXPECT_EQ(order, "10 20 30 ");
}

TEST_P(Reactors, a_timer_that_is_set_again_canceled_or_destroyed_does_not_ring) {
    std::string rung;
    const auto again = reactor->make_timer();
    again->set(1ms, [&] { rung += "replaced "; });
    again->set(20ms, [&] { rung += "replacement "; });
    const auto canceled = reactor->make_timer();
    canceled->set(1ms, [&] { rung += "canceled "; });
    canceled->cancel();
    canceled->cancel();
    reactor->make_timer()->set(1ms, [&] { rung += "destroyed "; });
    EXPECT_TRUE(play(*reactor, {{[&] { return !rung.empty(); }}}));
    EXPECT_EQ(rung, "replacement ");
}

TEST_P(Reactors, a_timer_that_has_expired_does_not_ring_once_it_is_canceled_set_again_or_destroyed) {
    std::string rung;
    const auto canceled = reactor->make_timer();
    const auto again = reactor->make_timer();
    auto destroyed = reactor->make_timer();
    const auto first = reactor->make_timer();
    first->set(0ms, [&] {
        canceled->cancel();
        again->set(1ms, [&] { rung += "replacement "; });
        destroyed.reset();
    });
    const auto expired = Clock::now() + 5ms;
    canceled->set(1ms, [&] { rung += "canceled "; });
    again->set(1ms, [&] { rung += "replaced "; });
    destroyed->set(1ms, [&] { rung += "destroyed "; });
    while (Clock::now() < expired) {}  // all are due when the loop first looks
    EXPECT_TRUE(play(*reactor, {{[&] { return !rung.empty(); }}}));
    EXPECT_EQ(rung, "replacement ");
}

TEST_P(Reactors, a_timer_may_set_itself_again_when_it_rings) {
    const auto timer = reactor->make_timer();
    int rings = 0;
    const std::function<void()> ring = [&] {
        if (++rings < 5) timer->set(1ms, ring);
    };
    timer->set(0ms, ring);
    EXPECT_TRUE(play(*reactor, {{[&] { return rings == 5; }}}));
}

TEST_P(Reactors, what_is_watched_is_read_until_it_is_forgotten) {
    const testing::Pipe pipe = testing::make_pipe();
    std::string read;
    reactor->watch(pipe.reader.get(), [&] {
        char byte = 0;
        ASSERT_EQ(::read(pipe.reader.get(), &byte, 1), 1);
        read += byte;
        if (read.size() == 3) reactor->forget(pipe.reader.get());
    });
    ASSERT_EQ(::write(pipe.writer.get(), "abcd", 4), 4);
    const auto start = Clock::now();
    EXPECT_TRUE(play(*reactor, {{[&] { return Clock::now() - start > 20ms; }}}));
    EXPECT_EQ(read, "abc");
    EXPECT_NE(::fcntl(pipe.reader.get(), F_GETFD), -1) << "it was borrowed";
    reactor->forget(pipe.reader.get());
}

TEST_P(Reactors, one_that_is_joined_hears_of_clients_and_one_that_has_left_does_not) {
    UniqueFd listener = testing::listen_on_loopback();
    const SocketAddress address = SocketAddress::local_of(listener.get());
    int calls = 0;
    SharedQueue* shared = nullptr;
    const auto queue = reactor->share(std::move(listener), [&] {
        ++calls;
        const UniqueFd accepted{::accept(shared->fd(), nullptr, nullptr)};
        EXPECT_TRUE(accepted);
    });
    shared = queue.get();
    const UniqueFd early = testing::connect_to(address);
    UniqueFd later;
    auto left_at = Clock::now();
    EXPECT_TRUE(play(*reactor, {{[&] { return calls == 0; }, [&] { queue->join(); }},
                                {[&] { return calls == 1; },
                                 [&] {
                                     queue->yield_turn();
                                     queue->leave();
                                     queue->leave();
                                     later = testing::connect_to(address);
                                     left_at = Clock::now();
                                 }},
                                {[&] { return Clock::now() - left_at > 20ms; },
                                 [&] {
                                     EXPECT_EQ(calls, 1);
                                     queue->join();
                                 }},
                                {[&] { return calls == 2; }}}));
}

TEST_P(Reactors, a_queue_closes_its_socket) {
    UniqueFd listener = testing::listen_on_loopback();
    const SocketAddress address = SocketAddress::local_of(listener.get());
    auto queue = reactor->share(std::move(listener), [] {});
    queue->join();
    EXPECT_EQ(testing::connect_error(address), 0);
    queue.reset();
    EXPECT_EQ(testing::connect_error(address), ECONNREFUSED);
}

INSTANTIATE_TEST_SUITE_P(Both, Reactors, testing::both_reactors, testing::name_of_kind);

}  // namespace
}  // namespace preforkd
