// One connection over which BYTES are sent and come back as fast as the server can, and after which nothing comes.
//
//   stream_load --port P [--bytes B] [--tls yes|no]
#include <poll.h>

#include "link.hpp"

namespace {

using namespace load;

constexpr std::size_t chunk = std::size_t{64} * 1024;

class StreamLoad {
public:
    explicit StreamLoad(const Arguments& plan) : link_{1, plan["port"], plan.text("tls") == "yes"} {
        link_.stop_waiting();
    }

    /// Sends and receives `bytes`, each of them checked.
    void exchange(std::size_t bytes) {
        const std::size_t end = sent_ + bytes;
        while (received_ < end) {
            const short wanted = static_cast<short>(POLLIN | (sent_ < end ? POLLOUT : 0));
            pollfd socket{.fd = link_.fd(), .events = wanted, .revents = 0};
            if (check(::poll(&socket, 1, 10'000), "poll") == 0) fail("the echo stopped", ETIMEDOUT);
            if ((socket.revents & POLLOUT) != 0) send(end);
            if ((socket.revents & ~POLLOUT) != 0) receive();
        }
    }

    /// The server closes once it has echoed everything, and not a byte more.
    void expect_the_end() {
        link_.end_output();
        pollfd socket{.fd = link_.fd(), .events = POLLIN, .revents = 0};
        if (check(::poll(&socket, 1, 10'000), "poll") == 0) fail("the server did not close", ETIMEDOUT);
        link_.expect_the_end(buffer_.data(), buffer_.size());
    }

private:
    void send(std::size_t end) { sent_ += link_.send(pattern_.at(sent_), std::min(chunk, end - sent_)); }

    void receive() {
        const std::size_t size = link_.receive(buffer_.data(), buffer_.size());
        if (std::memcmp(buffer_.data(), pattern_.at(received_), size) != 0) fail("wrong echo", EPROTO);
        received_ += size;
    }

    Link link_;
    Pattern pattern_{chunk};
    std::vector<char> buffer_ = std::vector<char>(chunk);
    std::size_t sent_ = 0;
    std::size_t received_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    return run_generator("stream_load", [&] {
        const Arguments plan{
            argc, argv, {port(), {.name = "bytes", .least = 1, .fallback = std::size_t{64} << 20}}, {tls_option()}};
        StreamLoad stream{plan};
        stream.exchange(std::size_t{1} << 20);
        say_ready_and_wait();
        stream.exchange(plan["bytes"]);
        std::vector<Clock::duration> none;
        report({.done = plan["bytes"]}, none);
        wait_for_the_end();
        stream.expect_the_end();
    });
}
