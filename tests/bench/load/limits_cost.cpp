// What limits, rules and a PROXY header cost a connection, or a datagram, beside all that it costs anyway: in a process
// of its own, since the daemon's CPU of a connection varies by more than that.  Prints the nanoseconds of CPU as JSON.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/channel/source_table.hpp"
#include "common/config/access.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/proxy_headers.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "generator.hpp"

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

/// Both ends of a connection over the loopback.
struct Pair {
    UniqueFd client{};
    UniqueFd server{};
};

Pair connect_pair(int listener, std::size_t port) {
    UniqueFd client{load::connect_from(1, port)};
    const int on = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return {
        .client = std::move(client),
        .server = UniqueFd{load::check(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept")}};
}

/// As HAProxy's send-proxy-v2 announces a client over IPv4, whoever it is.
std::string some_header() {
    return std::string{"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb", 28};
}

struct HeaderCost {
    double whole_ns = 0;
    double calls_ns = 0;  ///< of that, what its two system calls take that do nothing else
};

/// What looking at a header and taking it from the socket is to the kernel.
void receive_alone(int fd, std::size_t header_bytes) {
    static std::array<char, longest_proxy_header_bytes> space;
    load::check(static_cast<int>(::recv(fd, space.data(), space.size(), MSG_PEEK | MSG_DONTWAIT)), "recv");
    load::check(static_cast<int>(::recv(fd, space.data(), header_bytes, MSG_DONTWAIT)), "recv");
}

/// Reading the header of a connection that has sent it already, as a worker does that has just accepted it.
HeaderCost header_cost() {
    constexpr std::size_t at_once = 200;
    constexpr int batches = 100;
    EpollReactor reactor;
    WorkerRecord record;
    Acceptor acceptor{reactor, record, {.limit = at_once}};
    Listener listener{.settings = {.proxy = ProxySenders{.prefixes = {}}}};
    std::vector<UniqueFd> begun;
    ProxyHeaders headers{listener, acceptor,
                         [&](TakenStream connection, const SocketAddress&, std::unique_ptr<const Announced> announced) {
                             if (announced) begun.push_back(std::move(connection.fd));
                         }};
    const UniqueFd listening{load::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    sockaddr_in name = load::loopback(INADDR_LOOPBACK, 0);
    socklen_t size = sizeof name;
    load::check(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&name), size), "bind");
    load::check(::listen(listening.get(), at_once), "listen");
    load::check(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&name), &size), "getsockname");
    const SocketAddress balancer = SocketAddress::local_of(listening.get());
    const std::string header = some_header();
    HeaderCost cost;
    for (int batch = -1; batch < batches; ++batch) {
        const bool alone = batch % 2 == 0;
        std::vector<Pair> pairs;
        for (std::size_t each = 0; each < at_once; ++each) {
            pairs.push_back(connect_pair(listening.get(), ntohs(name.sin_port)));
            load::check(static_cast<int>(::send(pairs.back().client.get(), header.data(), header.size(), 0)), "send");
        }
        const double before = cpu_ns();
        for (Pair& each : pairs)
            alone ? receive_alone(each.server.get(), header.size())
                  : headers.read({.fd = std::move(each.server)}, balancer);
        if (batch >= 0) (alone ? cost.calls_ns : cost.whole_ns) += (cpu_ns() - before) / (at_once * batches / 2);
        if (!alone && begun.size() != at_once) load::fail("read the header of each connection", EPROTO);
        begun.clear();
        for (Pair& each : pairs) load::reset(each.client.release());
    }
    return cost;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view asked = argc == 2 ? argv[1] : "";
    if (asked == "header") {
        const HeaderCost cost = header_cost();
        std::printf("{\"whole\": %.1f, \"calls\": %.1f}\n", cost.whole_ns, cost.calls_ns);
    } else if (asked == "limits") {
        const std::vector<HostAddress> hosts = some_hosts();
        std::printf(
            "{\"2 workers\": %.1f, \"32 workers\": %.1f, \"128 workers\": %.1f, \"datagram\": %.1f, \"prefixes\": "
            "%.1f}\n",
            per_source_and_rate_ns(2, hosts), per_source_and_rate_ns(32, hosts), per_source_and_rate_ns(128, hosts),
            rate_ns(hosts), access_ns(10'000, hosts));
    } else {
        std::fprintf(stderr, "limits_cost: what: header, or limits\n");
        return EX_USAGE;
    }
}
