// A closed loop of clients in one thread: each connects, reads to the end, checks every byte, closes, connects again.
//
//   load --port P --connections N [--clients C] [--expect TEXT] [--pause-us U] [--close fin|reset] [--timeout-s S]
//
// Prints one line of JSON.  Exits with 1 at the first answer that is wrong, and when the time is over.
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
    std::uint16_t port = 0;
    std::size_t connections = 1000;        ///< in all
    std::size_t clients = 1;               ///< at once
    std::string expected = "connected\n";  ///< the whole answer
    std::chrono::microseconds pause{0};    ///< after each connection, awake, for the pool to fall asleep
    bool reset = false;                    ///< close with RST instead of FIN
    std::chrono::seconds timeout{60};      ///< for the whole run
};

struct Client {
    std::string answer{};
    Clock::time_point began{};
};

[[noreturn]] void fail(const std::string& attempt, int error = errno) {
    throw std::system_error{error, std::generic_category(), attempt};
}

class Load {
public:
    explicit Load(const Plan& plan) : plan_{plan}, poll_{::epoll_create1(EPOLL_CLOEXEC)} {
        if (poll_ < 0) fail("epoll_create1");
        times_.reserve(plan.connections);
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() { ::close(poll_); }

    void run() {
        began_ = Clock::now();
        const auto deadline = began_ + plan_.timeout;
        while (times_.size() < plan_.connections) {
            while (clients_.size() < plan_.clients && started_ < plan_.connections) start();
            wait_until(deadline);
        }
        report(Clock::now() - began_);
    }

private:
    void start() {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) fail("socket");
        if (source_ != first_source) bind_source(fd);
        clients_.emplace(fd, Client{.began = Clock::now()});
        const sockaddr_in server = loopback(first_source, plan_.port);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server) < 0 && errno != EINPROGRESS) {
            if (errno != EADDRNOTAVAIL || source_ == last_source) fail("connect");
            ++source_;  // this address has no port left: go on from the next one
            clients_.erase(fd);
            ::close(fd);
            return;
        }
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        wanted.data.fd = fd;
        if (::epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &wanted) < 0) fail("epoll_ctl");
        ++started_;
    }

    /// connect() takes a port itself; bound without this option, each port would serve one connection to anybody.
    void bind_source(int fd) const {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        const sockaddr_in source = loopback(source_, 0);
        if (::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) < 0) fail("bind source");
    }

    /// Serves what is ready.  A client that pauses does not sleep here either: the server's reply would wake it on the
    /// server's CPU, where it preempts the worker, and the worker's context switches would be the client's doing.
    void wait_until(Clock::time_point deadline) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        if (left.count() <= 0) fail(std::to_string(clients_.size()) + " clients without an answer", ETIMEDOUT);
        std::array<epoll_event, 256> events;
        const int wait_ms = plan_.pause.count() > 0 ? 0 : static_cast<int>(left.count());
        const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), wait_ms);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; ++i) read_answer(events[static_cast<std::size_t>(i)].data.fd);
    }

    void read_answer(int fd) {
        Client& client = clients_.at(fd);
        std::array<char, 4096> buffer;
        for (;;) {
            const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (size < 0 && errno == EAGAIN) return;
            if (size < 0) fail("answer of connection " + std::to_string(times_.size()));
            if (size == 0) break;
            client.answer.append(buffer.data(), static_cast<std::size_t>(size));
        }
        if (client.answer != plan_.expected) fail("wrong answer \"" + client.answer + '"', EPROTO);
        finish(fd, client);
    }

    void finish(int fd, const Client& client) {
        const auto now = Clock::now();
        times_.push_back(now - client.began);
        ++answers_in_window_[(now - began_) / window];
        if (plan_.reset) {
            const linger now{.l_onoff = 1, .l_linger = 0};
            ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        ::close(fd);
        clients_.erase(fd);
        for (const auto until = Clock::now() + plan_.pause; Clock::now() < until;) continue;
    }

    void report(Clock::duration took) {
        std::sort(times_.begin(), times_.end());
        const auto at = [&](std::size_t percent) {
            const auto time = times_[(times_.size() - 1) * percent / 100];
            return std::chrono::duration<double, std::micro>{time}.count();
        };
        std::printf(
            "{\"connections\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"sources\": %u, "
            "\"fewest_in_100ms\": %zu}\n",
            times_.size(), std::chrono::duration<double>{took}.count(), at(50), at(99), source_ - first_source + 1,
            fewest_in_a_window(took / window));
    }

    /// Answers in the worst window of those that were whole.
    std::size_t fewest_in_a_window(Clock::rep whole_windows) {
        std::size_t fewest = times_.size();
        for (Clock::rep i = 0; i < whole_windows; ++i) fewest = std::min(fewest, answers_in_window_[i]);
        return fewest;
    }

    static sockaddr_in loopback(std::uint32_t address, std::uint16_t port) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(address);
        name.sin_port = htons(port);
        return name;
    }

    static constexpr std::chrono::milliseconds window{100};
    static constexpr std::uint32_t first_source = INADDR_LOOPBACK;
    static constexpr std::uint32_t last_source = INADDR_LOOPBACK + 200;

    Plan plan_;
    int poll_;
    std::uint32_t source_ = first_source;
    std::size_t started_ = 0;
    std::map<int, Client> clients_{};
    Clock::time_point began_{};
    std::vector<Clock::duration> times_{};
    std::map<Clock::rep, std::size_t> answers_in_window_{};
};

Plan read_plan(int argc, char** argv) {
    static constexpr std::array<option, 8> names{{{"port", required_argument, nullptr, 'p'},
                                                  {"connections", required_argument, nullptr, 'n'},
                                                  {"clients", required_argument, nullptr, 'c'},
                                                  {"expect", required_argument, nullptr, 'e'},
                                                  {"pause-us", required_argument, nullptr, 'u'},
                                                  {"close", required_argument, nullptr, 'r'},
                                                  {"timeout-s", required_argument, nullptr, 't'},
                                                  {nullptr, 0, nullptr, 0}}};
    Plan plan;
    for (int name; (name = ::getopt_long(argc, argv, "", names.data(), nullptr)) != -1;) switch (name) {
            case 'p': plan.port = static_cast<std::uint16_t>(std::stoul(optarg)); break;
            case 'n': plan.connections = std::stoul(optarg); break;
            case 'c': plan.clients = std::stoul(optarg); break;
            case 'e': plan.expected = optarg; break;
            case 'u': plan.pause = std::chrono::microseconds{std::stol(optarg)}; break;
            case 'r': plan.reset = std::string_view{optarg} == "reset"; break;
            case 't': plan.timeout = std::chrono::seconds{std::stol(optarg)}; break;
            default: std::exit(64);
        }
    if (plan.port == 0 || plan.connections == 0 || plan.clients == 0) {
        std::fputs("load: --port, --connections and --clients are numbers above 0\n", stderr);
        std::exit(64);
    }
    return plan;
}

}  // namespace

int main(int argc, char** argv) try { Load{read_plan(argc, argv)}.run(); } catch (const std::exception& error) {
    std::fprintf(stderr, "load: %s\n", error.what());
    return 1;
}
