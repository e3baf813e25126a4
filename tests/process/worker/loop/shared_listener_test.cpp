// The queue of sleepers that the workers share, in both loops: daemon/worker/loop/asio_reactor.cpp and
// epoll_reactor.cpp.
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "common/channel/channel.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/reactors.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

constexpr int workers = 4;
constexpr std::uint64_t clients = 1000;
constexpr std::uint64_t turn = 16;

/// Idle workers of their own processes that share one listener.
class SharedListeners : public ::testing::TestWithParam<testing::ReactorKind> {
protected:
    void SetUp() override {
        for (int n = 0; n < workers; ++n) {
            const std::size_t index = records.emplace_back(scoreboard.acquire());
            ChannelPair channel = open_channel();
            children.push_back(
                spawn([&] { return accept_for_ever(scoreboard.map_own(index), channel.worker.reports.get()); }));
            ASSERT_TRUE(testing::comes(channel.master.reports.get()));
        }
        // Until it sleeps in the kernel a worker cannot be chosen; between its report and that it may be scheduled out.
        for (const ChildProcess& child : children)
            while (status(child, "State") != "S") ::sched_yield();
    }
    void TearDown() override {
        for (const ChildProcess& child : children) {
            child.signal(SIGKILL);
            EXPECT_EQ(testing::end_of(child), testing::killed(SIGKILL));
        }
    }

    /// A line of /proc/pid/status.  Source: proc(5).
    static std::string status(const ChildProcess& child, const std::string& name) {
        std::ifstream file{"/proc/" + std::to_string(child.pid()) + "/status"};
        for (std::string word; file >> word;)
            if (word == name + ':') return file >> word ? word : "";
        return "";
    }

    /// How often the workers have gone to sleep, which is how often they were woken.
    [[nodiscard]] std::uint64_t sleeps() const {
        std::uint64_t sum = 0;
        for (const ChildProcess& child : children) sum += std::stoull(status(child, "voluntary_ctxt_switches"));
        return sum;
    }

    int accept_for_ever(WorkerRecord& record, int reports) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const auto reactor = testing::make_reactor(GetParam());
        SharedQueue* shared = nullptr;
        const auto queue = reactor->share(std::move(listener), [&] {
            const UniqueFd accepted{::accept(shared->fd(), nullptr, nullptr)};
            if (accepted && (count(record.accepted), record.accepted % turn == 0)) shared->yield_turn();
        });
        shared = queue.get();
        queue->join();
        send_report(reports, Report::Kind::Ready);
        reactor->run();
        return 0;
    }

    Scoreboard scoreboard{workers};
    std::vector<std::size_t> records{};
    UniqueFd listener = testing::listen_on_loopback();
    const SocketAddress address = SocketAddress::local_of(listener.get());
    std::vector<ChildProcess> children{};
};

TEST_P(SharedListeners, a_client_wakes_about_one_of_the_idle_workers_and_none_gets_nearly_all) {
    const std::uint64_t before = sleeps();
    for (std::uint64_t n = 0; n < clients; ++n) {
        const UniqueFd client = testing::connect_to(address);
        ASSERT_TRUE(testing::comes(client.get())) << "client " << n << " was left in the queue";
    }
    EXPECT_LT(sleeps() - before, clients * 5 / 4) << "without EPOLLEXCLUSIVE several wake for each client";
    std::vector<std::uint64_t> shares;
    for (const std::size_t index : records) shares.push_back(scoreboard[index].accepted);
    EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}), clients);
    EXPECT_LT(*std::ranges::max_element(shares), clients / 2) << ::testing::PrintToString(shares);
}

TEST_P(SharedListeners, whoever_is_killed_leaves_the_queue_to_the_others) {
    for (std::size_t n = 0; n + 1 < workers; ++n) {
        children[n].signal(SIGKILL);
        ASSERT_TRUE(testing::comes(children[n].pidfd()));
        const UniqueFd client = testing::connect_to(address);
        EXPECT_TRUE(testing::comes(client.get())) << n;
    }
}

INSTANTIATE_TEST_SUITE_P(Both, SharedListeners, testing::both_reactors, testing::name_of_kind);

}  // namespace
}  // namespace preforkd
