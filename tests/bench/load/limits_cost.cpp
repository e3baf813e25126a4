// What the limits of a listener cost a connection, or a datagram, beside all that it costs anyway: in a process of its
// own, since the daemon's CPU of a connection varies by more than that.  Prints the nanoseconds of CPU as JSON.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/channel/source_table.hpp"
#include "common/config/access.hpp"

using namespace preforkd;

namespace {

constexpr int rounds = 2'000'000;
constexpr std::size_t sources = 4096;  // a power of two

double cpu_ns() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
}

template <class Work>
double each_ns(Work&& work) {
    for (int round = 0; round < rounds / 10; ++round) work(round);
    const double before = cpu_ns();
    for (int round = 0; round < rounds; ++round) work(round);
    return (cpu_ns() - before) / rounds;
}

std::vector<HostAddress> some_hosts() {
    std::mt19937 random{1};
    std::vector<HostAddress> hosts(sources);
    for (HostAddress& host : hosts) host = ipv4_host(static_cast<std::uint32_t>(random()));
    return hosts;
}

/// A connection comes and goes, at a listener that `workers` share.
double per_source_and_rate_ns(SourceCells::Column workers, const std::vector<HostAddress>& hosts) {
    const SourceTable table;
    table.cells().open_column(workers - 1);
    return each_ns([&](int round) {
        const auto entered =
            table.cells().enter(0, source_of(hosts[static_cast<std::size_t>(round) % sources], {}),
                                {.at_once = 100, .per_second = 1'000'000}, recent_time().time_since_epoch());
        if (!entered.refused) table.cells().leave(0, entered.row);
    });
}

/// A datagram of a rate comes, and is gone.
double rate_ns(const std::vector<HostAddress>& hosts) {
    const SourceTable table;
    table.cells().open_column(1);
    int refused = 0;
    const double ns = each_ns([&](int round) {
        const Source source = source_of(hosts[static_cast<std::size_t>(round) % sources], {});
        const SourceQuota quota{.per_second = 1'000'000};
        refused += table.cells().spend(0, source, quota, recent_time().time_since_epoch()) ? 1 : 0;
    });
    return refused < 0 ? 0 : ns;
}

double access_ns(int prefixes, const std::vector<HostAddress>& hosts) {
    std::mt19937 random{2};
    AccessList deny;
    for (int number = 0; number < prefixes; ++number) {
        const int bits = mapped_bits + 8 + number % 25;
        deny.prefixes.push_back({first_of(ipv4_host(static_cast<std::uint32_t>(random())), bits), bits});
    }
    const AccessTable table{{}, deny};
    int admitted = 0;
    const double ns =
        each_ns([&](int round) { admitted += table.admits(hosts[static_cast<std::size_t>(round) % sources]) ? 1 : 0; });
    return admitted < 0 ? 0 : ns;
}

}  // namespace

int main() {
    const std::vector<HostAddress> hosts = some_hosts();
    std::printf(
        "{\"2 workers\": %.1f, \"32 workers\": %.1f, \"128 workers\": %.1f, \"datagram\": %.1f, \"prefixes\": %.1f}\n",
        per_source_and_rate_ns(2, hosts), per_source_and_rate_ns(32, hosts), per_source_and_rate_ns(128, hosts),
        rate_ns(hosts), access_ns(10'000, hosts));
}
