#pragma once
// preforkctl send with pipes where its terminal would be, and servers for it.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/ctl/send.hpp"
#include "waiting.hpp"

namespace preforkd::testing {

struct PipePair {
    PipePair() {
        std::array<int, 2> ends{};
        check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
        read_end = UniqueFd{ends[0]};
        write_end = UniqueFd{ends[1]};
    }
    UniqueFd read_end{};
    UniqueFd write_end{};
};

inline std::string read_some(int fd) {
    std::string text(100'000, '\0');
    if (!comes(fd)) throw std::runtime_error{"nothing comes"};
    text.resize(static_cast<std::size_t>(check(static_cast<int>(::read(fd, text.data(), text.size())), "read")));
    return text;
}

inline std::string wait_and_read_to_end(int fd) {
    std::string all;
    for (std::string some = read_some(fd); !some.empty(); some = read_some(fd)) all += some;
    return all;
}

inline void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::write(fd, text.data(), text.size());
        if (sent == -1) throw_errno("write");
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

inline void close_early(UniqueFd& fd) { const UniqueFd closed = std::move(fd); }

/// preforkctl send in a thread, with pipes where its terminal would be.
class Sending {
public:
    explicit Sending(SendRequest request) : request_{std::move(request)} {
        done_ = std::async(std::launch::async, [this] {
            std::string complaint;
            try {
                send(request_, {.input = input_.read_end.get(),
                                .answer = answer_.write_end.get(),
                                .notes = notes_.write_end.get()});
            } catch (const std::invalid_argument& error) {
                complaint = std::string{"usage: "} + error.what();
            } catch (const std::exception& error) { complaint = error.what(); }
            close_early(answer_.write_end);
            close_early(notes_.write_end);
            return complaint;
        });
    }

    void type(std::string_view text) { write_all(input_.write_end.get(), text); }
    void end_input() { close_early(input_.write_end); }
    [[nodiscard]] int answer_fd() const { return answer_.read_end.get(); }
    [[nodiscard]] std::string answer_so_far() const { return read_some(answer_fd()); }
    [[nodiscard]] std::string rest_of_answer() const { return wait_and_read_to_end(answer_fd()); }
    [[nodiscard]] std::string notes() const { return wait_and_read_to_end(notes_.read_end.get()); }

    /// Empty if it went well.
    std::string complaint() { return done_.get(); }

private:
    SendRequest request_;
    PipePair input_{};
    PipePair answer_{};
    PipePair notes_{};
    std::future<std::string> done_{};
};

/// A bound socket, listening if it can, and the endpoint to send to.
struct Server {
    explicit Server(const std::string& where, int backlog = 16) : endpoint{parse_endpoint(where)} {
        const SocketAddress address = resolve(endpoint).at(0);
        const int type = socket_type_of(endpoint.transport);
        fd = UniqueFd{check(::socket(address.family(), type | SOCK_CLOEXEC, 0), "socket")};
        check(::bind(fd.get(), address.data(), address.size()), "bind");
        if (type == SOCK_STREAM) check(::listen(fd.get(), backlog), "listen");
        endpoint = local_endpoint(fd.get());
    }
    [[nodiscard]] UniqueFd accept() const {
        if (!comes(fd.get())) throw std::runtime_error{"nobody connects"};
        return UniqueFd{check(::accept4(fd.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept")};
    }

    struct Received {
        std::string text;
        SocketAddress from;
    };
    [[nodiscard]] Received receive() const {
        Received received{.text = std::string(70'000, '\0'), .from = {}};
        if (!comes(fd.get())) throw std::runtime_error{"no datagram comes"};
        socklen_t size = SocketAddress::capacity();
        received.text.resize(static_cast<std::size_t>(
            check(static_cast<int>(
                      ::recvfrom(fd.get(), received.text.data(), received.text.size(), 0, received.from.data(), &size)),
                  "receive")));
        received.from.resize(size);
        return received;
    }
    void reply(const SocketAddress& to, std::string_view text) const {
        check(static_cast<int>(::sendto(fd.get(), text.data(), text.size(), 0, to.data(), to.size())), "reply");
    }

    Endpoint endpoint;
    UniqueFd fd{};
};

inline constexpr const char* some_tcp = "tcp://127.0.0.1:0";
inline constexpr const char* some_udp = "udp://127.0.0.1:0";

inline std::string abstract_name(const char* scheme) {
    static int count = 0;
    return std::string{scheme} + "://@send_test." + std::to_string(::getpid()) + "." + std::to_string(++count);
}

}  // namespace preforkd::testing
