// Many connections that stay open, in one thread: each sends BYTES, waits until all are back, checks them, sends again.
//
//   echo_load --port P [--clients C] [--bytes B] [--rounds N] [--source S] [--timeout-s T] [--tls yes|no]
//             [--http yes|no]
//
// With HTTP they are the body of a POST and of its answer, which has no field but Content-Length.
//
// Connects from 127.0.0.S and makes one round on each connection; then, when told to, N rounds in all.  With N = 0 it
// keeps its connections silent until it is told to leave.
#include <sys/epoll.h>

#include <array>
#include <string>

#include "link.hpp"

namespace {

using namespace load;

struct Client {
    Link link;
    std::size_t at = 0;        ///< where in the pattern its message begins
    std::size_t received = 0;  ///< of it
    Clock::time_point sent{};
};

class EchoLoad {
public:
    explicit EchoLoad(const Arguments& plan)
        : plan_{plan},
          bytes_{plan["bytes"]},
          pattern_{bytes_},
          request_{head(plan, "POST / HTTP/1.1\r\nHost: x\r\n")},
          reply_{head(plan, "HTTP/1.1 200 OK\r\n")},
          buffer_(reply_.size() + bytes_ + 1),
          poll_{check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {}

    void run() {
        for (std::size_t each = 0; each < plan_["clients"]; ++each) open(each);
        say_ready_and_wait();
        for (std::size_t each = 0; each < clients_.size() && started_ < plan_["rounds"]; ++each) send(clients_[each]);
        const auto deadline = Clock::now() + std::chrono::seconds{plan_["timeout-s"]};
        while (times_.size() < plan_["rounds"]) wait(deadline);
        report({.done = times_.size()}, times_);
        wait_for_the_end();
    }

private:
    static std::string head(const Arguments& plan, const std::string& first_lines) {
        if (plan.text("http") == "no") return {};
        return first_lines + "Content-Length: " + std::to_string(plan["bytes"]) + "\r\n\r\n";
    }

    /// One round: the server has accepted it and has seen what a client of its does.
    void open(std::size_t index) {
        Client& client =
            clients_.emplace_back(Client{.link = {plan_["source"], plan_["port"], plan_.text("tls") == "yes"}});
        client.at = index * 61;
        send(client);
        while (!is_complete(client))
            if (!receive(client)) fail("the first echo of a connection is missing", ETIMEDOUT);
        client.link.stop_waiting();
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        wanted.data.u64 = index;
        check(::epoll_ctl(poll_, EPOLL_CTL_ADD, client.link.fd(), &wanted), "epoll_ctl");
        started_ = 0;
    }

    void send(Client& client) {
        client.at += 17;
        client.received = 0;
        client.sent = Clock::now();
        ++started_;
        const std::string message = request_ + std::string{pattern_.at(client.at), bytes_};
        for (std::size_t sent = 0, now = 0; sent < message.size(); sent += now) {
            now = client.link.send(message.data() + sent, message.size() - sent);
            if (now == 0) fail("send a whole message", ETIMEDOUT);
        }
    }

    /// False: nothing there.
    bool receive(Client& client) {
        const std::size_t size = client.link.receive(buffer_.data(), buffer_.size());
        if (size == 0) return false;
        const std::string whole = reply_ + std::string{pattern_.at(client.at), bytes_};
        if (whole.compare(client.received, size, buffer_.data(), size) != 0) fail("wrong echo", EPROTO);
        client.received += size;
        return true;
    }

    [[nodiscard]] bool is_complete(const Client& client) const { return client.received == reply_.size() + bytes_; }

    void wait(Clock::time_point deadline) {
        std::array<epoll_event, 256> events;
        const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 1000);
        if (count <= 0 && Clock::now() > deadline) fail("echoes are missing", ETIMEDOUT);
        for (int each = 0; each < count; ++each) {
            Client& client = clients_[events[static_cast<std::size_t>(each)].data.u64];
            if (!receive(client) || !is_complete(client)) continue;
            times_.push_back(Clock::now() - client.sent);
            if (started_ < plan_["rounds"]) send(client);
        }
    }

    const Arguments& plan_;
    std::size_t bytes_;
    Pattern pattern_;
    std::string request_;  ///< what goes before a message; empty: nothing
    std::string reply_;    ///< and before its echo
    std::vector<char> buffer_;
    int poll_;
    std::vector<Client> clients_{};
    std::size_t started_ = 0;
    std::vector<Clock::duration> times_{};
};

}  // namespace

int main(int argc, char** argv) {
    return run_generator("echo_load", [&] {
        const Arguments plan{argc,
                             argv,
                             {port(),
                              {.name = "clients", .least = 1, .fallback = 64},
                              {.name = "bytes", .least = 1, .fallback = 64},
                              {.name = "rounds", .fallback = 0},
                              {.name = "source", .least = 1, .most = 254, .fallback = 1},
                              {.name = "timeout-s", .least = 1, .most = 3600, .fallback = 60}},
                             {tls_option(), {.name = "http", .fallback = "no", .choices = {"yes", "no"}}}};
        EchoLoad{plan}.run();
    });
}
