#pragma once
// A client of any transport that blocks, with a limit that only a failing test meets.
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd::testing {

/// A path of this process's own for a Unix socket; removed in the end.
class SocketPath {
public:
    SocketPath() {
        static std::atomic<int> count{0};
        path_ = std::filesystem::temp_directory_path() /
                ("preforkd-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
    }
    ~SocketPath() { ::unlink(path_.c_str()); }
    SocketPath(const SocketPath&) = delete;
    SocketPath& operator=(const SocketPath&) = delete;

    [[nodiscard]] const std::string& text() const noexcept { return path_; }

private:
    std::string path_{};
};

/// A socket connected to `server`; of a Unix datagram server bound to `own`, so that it can answer.
inline UniqueFd dial(const Endpoint& server, const SocketPath& own = {}) {
    const SocketAddress address = resolve(server).at(0);
    UniqueFd fd{check(::socket(address.family(), socket_type_of(server.transport) | SOCK_CLOEXEC, 0), "socket")};
    const timeval limit{.tv_sec = 30, .tv_usec = 0};
    check(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "set SO_RCVTIMEO");
    if (server.transport == Transport::UnixDatagram) {
        const SocketAddress here = resolve({.transport = Transport::UnixDatagram, .path = own.text()}).at(0);
        check(::bind(fd.get(), here.data(), here.size()), "bind");
    }
    check(::connect(fd.get(), address.data(), address.size()), "connect");
    return fd;
}

inline void say(int fd, std::string_view text) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (check(static_cast<int>(sent), "send") != static_cast<int>(text.size())) throw std::runtime_error{"short send"};
}

/// What comes next, up to `size_bytes`; empty at the end of the stream.
inline std::string hear(int fd, std::size_t size_bytes = 1024) {
    std::string text(size_bytes, '\0');
    text.resize(static_cast<std::size_t>(check(static_cast<int>(::recv(fd, text.data(), text.size(), 0)), "receive")));
    return text;
}

}  // namespace preforkd::testing
