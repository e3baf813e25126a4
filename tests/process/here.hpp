#pragma once
// A client, the server's end of its connection, and what serving it in the test's own thread takes.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include "child_report.hpp"
#include "daemon/worker/stream/serve_here.hpp"
#include "waiting.hpp"

namespace preforkd::testing {

/// A worker that can be told to drain and to hurry, from any thread.
class Whistle final : public StopWatch {
public:
    void drain() {
        draining_ = true;
        (void)::eventfd_write(drained_.get(), 1);
    }
    void blow() {
        hurried_ = true;
        (void)::eventfd_write(event_.get(), 1);
    }

    [[nodiscard]] int fd() const noexcept override { return event_.get(); }
    void hear() override { ++heard; }
    void before_first_wait() override { ++first_waits; }
    [[nodiscard]] bool hurried() const noexcept override { return hurried_; }
    [[nodiscard]] bool draining() const noexcept override { return draining_; }
    [[nodiscard]] int drain_fd() override { return drained_.get(); }

    std::atomic<int> heard{0};
    std::atomic<int> first_waits{0};

private:
    UniqueFd event_{check(::eventfd(0, EFD_CLOEXEC), "eventfd")};
    UniqueFd drained_{check(::eventfd(0, EFD_CLOEXEC), "eventfd")};
    std::atomic<bool> hurried_{false};
    std::atomic<bool> draining_{false};
};

/// Waits until `record` is in `state`.
inline void wait_for(const WorkerRecord& record, WorkerState state) {
    while (record.state.load() != state) std::this_thread::yield();
}

/// A TCP connection over the loopback.
struct Client {
    Client() {
        const UniqueFd listening = listen_on_loopback();
        fd = connect_to(SocketAddress::local_of(listening.get()));
        comes(listening.get());
        SocketAddress from;
        socklen_t size = SocketAddress::capacity();
        accepted =
            UniqueFd{check(::accept4(listening.get(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept")};
        from.resize(size);
        address = from;
    }

    void send(std::string_view text) const { (void)!::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL); }
    void half_close() const { ::shutdown(fd.get(), SHUT_WR); }
    [[nodiscard]] std::string read_some() const {
        char text[4096];
        const ssize_t size = ::read(fd.get(), text, sizeof text);
        return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
    }
    [[nodiscard]] std::string read_rest() const { return read_to_end(fd.get()); }

    [[nodiscard]] AcceptedStream stream() {
        return {.fd = std::move(accepted), .address = address, .listener = listener};
    }

    Listener listener{};
    UniqueFd fd{};
    UniqueFd accepted{};
    SocketAddress address{};
};

}  // namespace preforkd::testing
