// A closed loop of clients in one thread: each connects, reads to the end, checks every byte, closes, connects again.
//
//   load --port P [--connections N] [--clients C] [--expect TEXT] [--pause-us U] [--close fin|reset] [--timeout-s S]
//
// Prints one line of JSON.  Exits with 1 at the first answer that is wrong, and when the time is over.
#include <sys/epoll.h>

#include <array>
#include <cctype>
#include <map>
#include <string_view>

#include "generator.hpp"

namespace {

using namespace load;

struct Plan {
    std::size_t port;
    std::size_t connections;          ///< in all
    std::size_t clients;              ///< at once
    std::string expected;             ///< the whole answer
    std::chrono::microseconds pause;  ///< after each connection, awake, for the pool to fall asleep
    bool reset;                       ///< close with RST instead of FIN
    std::chrono::seconds timeout;     ///< for the whole run
};

struct Client {
    std::string answer{};
    Clock::time_point began{};
};

/// Of any length and any bytes, as a line that can be read.
std::string quoted(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string line{"\""};
    for (const char byte : text.substr(0, longest))
        if (byte == '\n')
            line += "\\n";
        else
            line += std::isprint(static_cast<unsigned char>(byte)) != 0 ? byte : '?';
    return line + (text.size() > longest ? "\"..." : "\"");
}

class Load {
public:
    explicit Load(const Plan& plan) : plan_{plan}, poll_{check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {
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
        const int fd = check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
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
        check(::epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &wanted), "epoll_ctl");
        ++started_;
    }

    /// connect() takes a port itself; bound without this option, each port would serve one connection to anybody.
    void bind_source(int fd) const {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        const sockaddr_in source = loopback(source_, 0);
        check(::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source), "bind source");
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
            // At the first byte that is wrong or too many: a server that never ends its answer may not fill the memory.
            if (!std::string_view{plan_.expected}.starts_with(client.answer))
                fail("wrong answer " + quoted(client.answer), EPROTO);
        }
        if (client.answer != plan_.expected)
            fail("an answer ended after " + std::to_string(client.answer.size()) + " of " +
                     std::to_string(plan_.expected.size()) + " bytes",
                 EPROTO);
        finish(fd, client);
    }

    void finish(int fd, const Client& client) {
        const auto now = Clock::now();
        times_.push_back(now - client.began);
        ++answers_in_window_[(now - began_) / window];
        if (plan_.reset)
            reset(fd);
        else
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
    const Arguments given{argc,
                          argv,
                          {port(),
                           {.name = "connections", .least = 1, .most = 100'000'000, .fallback = 1000},
                           {.name = "clients", .least = 1, .fallback = 1},
                           {.name = "pause-us", .fallback = 0},
                           {.name = "timeout-s", .least = 1, .most = 3600, .fallback = 60}},
                          {{.name = "expect", .fallback = "connected\n"},
                           {.name = "close", .fallback = "fin", .choices = {"fin", "reset"}}}};
    return {.port = given["port"],
            .connections = given["connections"],
            .clients = given["clients"],
            .expected = given.text("expect"),
            .pause = std::chrono::microseconds{given["pause-us"]},
            .reset = given.text("close") == "reset",
            .timeout = std::chrono::seconds{given["timeout-s"]}};
}

}  // namespace

int main(int argc, char** argv) {
    return run_generator("load", [&] { Load{read_plan(argc, argv)}.run(); });
}
