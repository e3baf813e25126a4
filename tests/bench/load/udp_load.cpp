// Datagrams in a closed loop: each of CLIENTS sockets has WINDOW of them under way, and checks what comes back.
//
//   udp_load --port P [--clients C] [--window W] [--bytes B] [--rounds N]
//
// A window is sent with one system call and waited for as a whole.  What has not come back after 200 ms is lost.
#include <poll.h>

#include "generator.hpp"

namespace {

using namespace load;

struct Client {
    int fd = -1;
    std::size_t first = 0;  ///< number of the first datagram of its window
    std::vector<bool> back{};
    std::size_t missing = 0;
    Clock::time_point sent{};
};

class UdpLoad {
public:
    explicit UdpLoad(const Numbers& plan)
        : bytes_{plan["bytes"]}, window_{plan["window"]}, pattern_{bytes_}, clients_(plan["clients"]) {
        for (Client& client : clients_) {
            client.fd = connect_from(1, plan["port"], SOCK_DGRAM);
            watched_.push_back({.fd = client.fd, .events = POLLIN, .revents = 0});
        }
        room_.resize(window_ * bytes_);
        parts_.resize(window_);
        headers_.resize(window_);
        for (std::size_t each = 0; each < window_; ++each) {
            parts_[each] = {.iov_base = room_.data() + each * bytes_, .iov_len = bytes_};
            headers_[each].msg_hdr = {};
            headers_[each].msg_hdr.msg_iov = &parts_[each];
            headers_[each].msg_hdr.msg_iovlen = 1;
        }
    }

    void exchange(std::size_t datagrams) {
        done_ = lost_ = 0;
        times_.clear();
        std::size_t to_send = datagrams / window_;
        std::size_t open = 0;
        for (Client& client : clients_)
            if (to_send > 0) send_window(client), --to_send, ++open;
        while (open > 0) {
            check(::poll(watched_.data(), watched_.size(), 50), "poll");
            for (std::size_t each = 0; each < clients_.size(); ++each) {
                Client& client = clients_[each];
                if (client.missing == 0) continue;
                if (watched_[each].revents != 0) receive(client);
                if (client.missing != 0 && Clock::now() - client.sent > std::chrono::milliseconds{200}) {
                    lost_ += client.missing;
                    client.missing = 0;
                }
                if (client.missing != 0) continue;
                times_.push_back(Clock::now() - client.sent);
                --open;
                if (to_send > 0) send_window(client), --to_send, ++open;
            }
        }
    }

    void say() { report(done_, lost_, times_); }

private:
    /// A datagram begins with its number, so that one that came late is not taken for another.
    void send_window(Client& client) {
        client.first = next_;
        next_ += window_;
        client.back.assign(window_, false);
        client.missing = window_;
        for (std::size_t each = 0; each < window_; ++each) {
            const std::uint64_t number = client.first + each;
            std::memcpy(room_.data() + each * bytes_, pattern_.at(number), bytes_);
            std::memcpy(room_.data() + each * bytes_, &number, sizeof number);
        }
        client.sent = Clock::now();
        for (std::size_t sent = 0; sent < window_;)
            sent += static_cast<std::size_t>(check(
                ::sendmmsg(client.fd, headers_.data() + sent, static_cast<unsigned>(window_ - sent), 0), "sendmmsg"));
    }

    void receive(Client& client) {
        for (auto& part : parts_) part.iov_len = bytes_;
        const int count = ::recvmmsg(client.fd, headers_.data(), static_cast<unsigned>(window_), MSG_DONTWAIT, nullptr);
        if (count < 0 && errno != EAGAIN) fail("recvmmsg");
        for (int each = 0; each < count; ++each) take(client, static_cast<std::size_t>(each));
    }

    void take(Client& client, std::size_t each) {
        const char* const text = room_.data() + each * bytes_;
        std::uint64_t number = 0;
        std::memcpy(&number, text, sizeof number);
        if (headers_[each].msg_len != bytes_ || number >= client.first + window_ ||
            std::memcmp(text + sizeof number, pattern_.at(number) + sizeof number, bytes_ - sizeof number) != 0)
            fail("wrong echo", EPROTO);
        if (number < client.first) return;  // of a window that was given up
        if (client.back[number - client.first]) fail("an echo came twice", EPROTO);
        client.back[number - client.first] = true;
        --client.missing;
        ++done_;
    }

    std::size_t bytes_;
    std::size_t window_;
    Pattern pattern_;
    std::vector<Client> clients_;
    std::vector<pollfd> watched_{};
    std::vector<char> room_{};
    std::vector<iovec> parts_{};
    std::vector<mmsghdr> headers_{};
    std::size_t next_ = 0;
    std::size_t done_ = 0;
    std::size_t lost_ = 0;
    std::vector<Clock::duration> times_{};
};

}  // namespace

int main(int argc, char** argv) {
    return run_generator("udp_load", [&] {
        const Numbers plan{argc, argv, {{"port", 0}, {"clients", 4}, {"window", 32}, {"bytes", 64}, {"rounds", 0}}};
        UdpLoad udp{plan};
        udp.exchange(plan["clients"] * plan["window"] * 4);
        say_ready_and_wait();
        udp.exchange(plan["rounds"]);
        udp.say();
        wait_for_the_end();
    });
}
