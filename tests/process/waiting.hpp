#pragma once
// Waiting for events, with a limit that only a failing test meets.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"
#include "common/process/child_process.hpp"

namespace preforkd::testing {

inline constexpr int patience_ms = 30'000;

/// Waits for `events` (or an error, or the end); false if they do not come.
inline bool comes(int fd, short events = POLLIN, int limit_ms = patience_ms) {
    pollfd watched{.fd = fd, .events = events, .revents = 0};
    constexpr int slice_ms = 1000;  // whoever was stopped meanwhile, with all its children, has lost one, and not all
    for (; limit_ms > slice_ms; limit_ms -= slice_ms)
        if (::poll(&watched, 1, slice_ms) == 1) return true;
    return ::poll(&watched, 1, limit_ms) == 1;
}

/// Whether there is something to read, or the end, right now.
inline bool is_readable(int fd) { return comes(fd, POLLIN, 0); }

/// Waits for the end of `child` and collects it.
inline ExitReport end_of(const ChildProcess& child) {
    if (!comes(child.pidfd())) {
        child.signal(SIGKILL);
        comes(child.pidfd());
        (void)child.try_reap();
        throw std::runtime_error{"the child did not end"};
    }
    return child.try_reap().value();
}

inline constexpr ExitReport success{ExitReport::Kind::Exited, 0};

inline ExitReport exited(int code) { return {ExitReport::Kind::Exited, code}; }
inline ExitReport killed(int signo) { return {ExitReport::Kind::Killed, signo}; }

/// While it lives, this process can open only so many descriptors more.
///
/// UBSan opens a pipe to check the type of an exception: leave two, or let this end, where one is caught.
class FewDescriptors {
public:
    explicit FewDescriptors(int how_many) {
        ::getrlimit(RLIMIT_NOFILE, &given_);
        int limit = 3;
        for (; how_many > 0 || ::fcntl(limit, F_GETFD) != -1; ++limit)
            if (::fcntl(limit, F_GETFD) == -1) --how_many;
        rlimit few = given_;
        few.rlim_cur = static_cast<rlim_t>(limit);
        check(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
    }
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &given_); }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

private:
    rlimit given_{};
};

/// A non-blocking listener on a free port of the loopback.
inline UniqueFd listen_on_loopback(int backlog = 128) {
    const SocketAddress where = resolve(parse_endpoint("tcp://127.0.0.1:0")).at(0);
    UniqueFd fd{check(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
    check(::bind(fd.get(), where.data(), where.size()), "bind");
    check(::listen(fd.get(), backlog), "listen");
    return fd;
}

/// A connected client, blocking; throws std::system_error when it is refused.
inline UniqueFd connect_to(const SocketAddress& where) {
    UniqueFd fd{check(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    check(::connect(fd.get(), where.data(), where.size()), "connect");
    return fd;
}

/// The error that a connect to `where` comes to; 0 if it succeeds.
inline int connect_error(const SocketAddress& where) {
    const UniqueFd fd{check(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    return ::connect(fd.get(), where.data(), where.size()) == 0 ? 0 : errno;
}

inline std::array<UniqueFd, 2> socket_pair(int type) {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

}  // namespace preforkd::testing
