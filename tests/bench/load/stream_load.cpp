// One connection over which BYTES are sent and come back as fast as the server can, and after which nothing comes.
//
//   stream_load --port P [--bytes B]
#include <poll.h>

#include "generator.hpp"

namespace {

using namespace load;

constexpr std::size_t chunk = std::size_t{64} * 1024;

class StreamLoad {
public:
    explicit StreamLoad(const Arguments& plan) : fd_{connect_from(1, plan["port"])} {}

    /// Sends and receives `bytes`, each of them checked.
    void exchange(std::size_t bytes) {
        const std::size_t end = sent_ + bytes;
        while (received_ < end) {
            const short wanted = static_cast<short>(POLLIN | (sent_ < end ? POLLOUT : 0));
            pollfd socket{.fd = fd_, .events = wanted, .revents = 0};
            if (check(::poll(&socket, 1, 10'000), "poll") == 0) fail("the echo stopped", ETIMEDOUT);
            if ((socket.revents & POLLOUT) != 0) send(end);
            if ((socket.revents & ~POLLOUT) != 0) receive();
        }
    }

    /// The server closes once it has echoed everything, and not a byte more.
    void expect_the_end() {
        check(::shutdown(fd_, SHUT_WR), "shutdown");
        pollfd socket{.fd = fd_, .events = POLLIN, .revents = 0};
        if (check(::poll(&socket, 1, 10'000), "poll") == 0) fail("the server did not close", ETIMEDOUT);
        const ssize_t size = ::recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (size < 0) fail("end of the stream");
        if (size > 0) fail("more came back than was sent", EPROTO);
    }

private:
    void send(std::size_t end) {
        const ssize_t size = ::send(fd_, pattern_.at(sent_), std::min(chunk, end - sent_), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno != EAGAIN) fail("send");
        sent_ += size > 0 ? static_cast<std::size_t>(size) : 0;
    }

    void receive() {
        const ssize_t size = ::recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) fail("the server closed the connection", size < 0 ? errno : ECONNRESET);
        if (std::memcmp(buffer_.data(), pattern_.at(received_), static_cast<std::size_t>(size)) != 0)
            fail("wrong echo", EPROTO);
        received_ += static_cast<std::size_t>(size);
    }

    int fd_;
    Pattern pattern_{chunk};
    std::vector<char> buffer_ = std::vector<char>(chunk);
    std::size_t sent_ = 0;
    std::size_t received_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    return run_generator("stream_load", [&] {
        const Arguments plan{argc, argv, {port(), {.name = "bytes", .least = 1, .fallback = std::size_t{64} << 20}}};
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
