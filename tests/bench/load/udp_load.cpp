// Datagrams in a closed loop: each of CLIENTS sockets has WINDOW of them under way, and checks what comes back.
//
//   udp_load --port P [--clients C] [--window W] [--bytes B] [--rounds N] [--patience-ms M] [--timeout-s T]
//
// A window is sent with one system call and waited for as a whole.  What has not come back after M ms is lost; if it
// comes nevertheless, at the latest a second after the end, it is late.  Exits with 1 at a reply that is wrong, that
// has come before, also shortly after the end, or that belongs to another client.
#include <poll.h>

#include "generator.hpp"

namespace {

using namespace load;

constexpr std::chrono::milliseconds straggling{1000};
constexpr std::chrono::milliseconds doubling{20};  ///< the second reply of a server that sends two is not far behind

enum class Fate : std::uint8_t { UnderWay, Answered, GivenUp };

struct Datagram {
    std::size_t client;
    Fate fate = Fate::UnderWay;
};

struct Client {
    int fd = -1;
    std::size_t first = 0;  ///< number of the first datagram of its window
    std::size_t missing = 0;
    bool waiting = false;
    Clock::time_point sent{};
};

class UdpLoad {
public:
    explicit UdpLoad(const Arguments& plan)
        : bytes_{plan["bytes"]},
          window_{plan["window"]},
          patience_{plan["patience-ms"]},
          timeout_{plan["timeout-s"]},
          pattern_{bytes_},
          clients_(plan["clients"]),
          space_(window_ * bytes_),
          parts_(window_),
          headers_(window_) {
        for (Client& client : clients_) {
            client.fd = connect_from(1, plan["port"], SOCK_DGRAM);
            watched_.push_back({.fd = client.fd, .events = POLLIN, .revents = 0});
        }
        for (std::size_t each = 0; each < window_; ++each) {
            parts_[each] = {.iov_base = space_.data() + each * bytes_, .iov_len = bytes_};
            headers_[each].msg_hdr.msg_iov = &parts_[each];
            headers_[each].msg_hdr.msg_iovlen = 1;
        }
    }

    /// At least `datagrams`: whole windows.
    void exchange(std::size_t datagrams) {
        begin(datagrams);
        const auto deadline = Clock::now() + timeout_;
        for (std::size_t each = 0; each < clients_.size(); ++each) send_window(each);
        while (waiting_ > 0) {
            if (Clock::now() > deadline) fail(std::to_string(tally_.lost) + " echoes are missing", ETIMEDOUT);
            check(::poll(watched_.data(), watched_.size(), 50), "poll");
            for (std::size_t each = 0; each < clients_.size(); ++each) {
                if (watched_[each].revents != 0) receive(each);
                if (clients_[each].waiting) conclude(each);
            }
        }
        receive_stragglers();
        if (tally_.done == 0) fail("no echo came in time", ETIMEDOUT);
    }

    /// Once nobody measures any more: a reply that comes twice may do so after all have come once.
    void expect_no_more() {
        const auto until = Clock::now() + doubling;
        do {
            check(::poll(watched_.data(), watched_.size(), 5), "poll");
            receive_ready();
        } while (Clock::now() < until);
    }

    void say() { report(tally_, times_); }

private:
    void begin(std::size_t datagrams) {
        tally_ = {};
        times_.clear();
        windows_left_ = (datagrams + window_ - 1) / window_;
        first_ = datagrams_.size();
        datagrams_.reserve(first_ + windows_left_ * window_);
    }

    /// If one is left.  A datagram begins with its number, so that its reply is taken for no other's.
    void send_window(std::size_t index) {
        if (windows_left_ == 0) return;
        --windows_left_;
        ++waiting_;
        Client& client = clients_[index];
        client.first = datagrams_.size();
        client.missing = window_;
        client.waiting = true;
        datagrams_.insert(datagrams_.end(), window_, Datagram{.client = index});
        for (std::size_t each = 0; each < window_; ++each) {
            const std::uint64_t number = client.first + each;
            std::memcpy(space_.data() + each * bytes_, pattern_.at(number), bytes_);
            std::memcpy(space_.data() + each * bytes_, &number, sizeof number);
        }
        client.sent = Clock::now();
        for (std::size_t sent = 0; sent < window_;)
            sent += static_cast<std::size_t>(check(
                ::sendmmsg(client.fd, headers_.data() + sent, static_cast<unsigned>(window_ - sent), 0), "sendmmsg"));
    }

    /// Ends a window that is complete or has taken too long, and begins the next.
    void conclude(std::size_t index) {
        Client& client = clients_[index];
        const auto took = Clock::now() - client.sent;
        if (client.missing > 0 && took <= patience_) return;
        for (std::size_t number = client.first; number < client.first + window_; ++number) {
            if (datagrams_[number].fate != Fate::UnderWay) continue;
            datagrams_[number].fate = Fate::GivenUp;
            ++tally_.lost;
        }
        times_.push_back(took);
        client.waiting = false;
        --waiting_;
        send_window(index);
    }

    /// What was given up and comes after all tells a slow machine from a server that loses; and of what nobody waits
    /// for any more, nothing may come.
    void receive_stragglers() {
        const auto until = Clock::now() + straggling;
        do {
            check(::poll(watched_.data(), watched_.size(), tally_.lost > 0 ? 50 : 0), "poll");
            receive_ready();
        } while (tally_.lost > 0 && Clock::now() < until);
    }

    void receive_ready() {
        for (std::size_t each = 0; each < clients_.size(); ++each)
            if (watched_[each].revents != 0) receive(each);
    }

    void receive(std::size_t index) {
        const int count =
            ::recvmmsg(clients_[index].fd, headers_.data(), static_cast<unsigned>(window_), MSG_DONTWAIT, nullptr);
        if (count < 0 && errno != EAGAIN) fail("recvmmsg");
        for (int each = 0; each < count; ++each) take(index, static_cast<std::size_t>(each));
    }

    void take(std::size_t index, std::size_t each) {
        const char* const text = space_.data() + each * bytes_;
        std::uint64_t number = 0;
        std::memcpy(&number, text, sizeof number);
        if (headers_[each].msg_len != bytes_ || (headers_[each].msg_hdr.msg_flags & MSG_TRUNC) != 0 ||
            number >= datagrams_.size() ||
            std::memcmp(text + sizeof number, pattern_.at(number) + sizeof number, bytes_ - sizeof number) != 0)
            fail("wrong echo", EPROTO);
        Datagram& datagram = datagrams_[number];
        if (datagram.client != index) fail("an echo reached a client that had not sent it", EPROTO);
        if (datagram.fate == Fate::Answered) fail("an echo came twice", EPROTO);
        if (datagram.fate == Fate::UnderWay) {
            ++tally_.done;
            --clients_[index].missing;
        } else if (number >= first_) {  // else of the exchange before, whose tally is closed
            ++tally_.late;
            --tally_.lost;
        }
        datagram.fate = Fate::Answered;
    }

    std::size_t bytes_;
    std::size_t window_;
    std::chrono::milliseconds patience_;
    std::chrono::seconds timeout_;
    Pattern pattern_;
    std::vector<Client> clients_;
    std::vector<char> space_;
    std::vector<iovec> parts_;
    std::vector<mmsghdr> headers_;
    std::vector<pollfd> watched_{};
    std::vector<Datagram> datagrams_{};  ///< all that were ever sent, by number
    std::size_t first_ = 0;              ///< number of the first datagram of this exchange
    std::size_t windows_left_ = 0;       ///< to be sent
    std::size_t waiting_ = 0;            ///< clients
    Tally tally_{};
    std::vector<Clock::duration> times_{};
};

}  // namespace

int main(int argc, char** argv) {
    return run_generator("udp_load", [&] {
        const Arguments plan{argc,
                             argv,
                             {port(),
                              {.name = "clients", .least = 1, .most = 1000, .fallback = 4},
                              {.name = "window", .least = 1, .most = 1024, .fallback = 32},
                              {.name = "bytes", .least = sizeof(std::uint64_t), .most = 65'507, .fallback = 64},
                              {.name = "rounds", .least = 1, .fallback = 10'000},
                              {.name = "patience-ms", .least = 1, .most = 60'000, .fallback = 200},
                              {.name = "timeout-s", .least = 1, .most = 3600, .fallback = 60}}};
        UdpLoad udp{plan};
        udp.exchange(plan["clients"] * plan["window"] * 4);
        say_ready_and_wait();
        udp.exchange(plan["rounds"]);
        udp.say();
        wait_for_the_end();
        udp.expect_no_more();
    });
}
