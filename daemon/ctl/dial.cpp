#include "daemon/ctl/dial.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <stdexcept>
#include <thread>

#include "common/base/sys_error.hpp"

namespace preforkd {
namespace {

bool is_unix(const Endpoint& endpoint) {
    return endpoint.transport == Transport::Unix || endpoint.transport == Transport::UnixDatagram;
}

/// Paths and numbers need no name service, so nothing that takes its time.
bool is_address(const Endpoint& endpoint) {
    return is_unix(endpoint) || endpoint.host.find_first_not_of("0123456789.") == std::string::npos ||
           endpoint.host.find(':') != std::string::npos;
}

std::vector<SocketAddress> resolve_within(const Endpoint& endpoint, const Patience& patience) {
    if (is_address(endpoint)) return resolve(endpoint);
    std::packaged_task<std::vector<SocketAddress>()> task{[endpoint] { return resolve(endpoint); }};
    std::future<std::vector<SocketAddress>> found = task.get_future();
    std::thread{std::move(task)}.detach();
    if (patience.until() && found.wait_until(*patience.until()) != std::future_status::ready)
        throw std::runtime_error{fmt::format(
            "look up {}: no answer from the name service within --timeout; name an address", endpoint.host)};
    return found.get();
}

std::string_view remedy_for(int error, const Endpoint& endpoint) {
    switch (error) {
        case ECONNREFUSED: return "; nothing listens there";
        case ETIMEDOUT: return "; --timeout gives it longer";
        case ENOENT: return "; is the server running?";
        case EACCES:
        case EPERM:
            return is_unix(endpoint) ? "; the server's --listen decides who may, with mode=, user= and group=" : "";
        case EPROTOTYPE:
            return endpoint.transport == Transport::Unix ? "; the server speaks unixgram://"
                                                         : "; the server speaks unix://";
        case EINVAL: return endpoint.host.starts_with("fe80") ? "; say which interface: [fe80::1%eth0]" : "";
        default: return "";
    }
}

void set_non_blocking(int fd) {
    check(::fcntl(fd, F_SETFL, check(::fcntl(fd, F_GETFL), "fcntl") | O_NONBLOCK), "fcntl");
}

/// A non-blocking connect to a full queue says EAGAIN, and poll(2) never tells that there is space again; a blocking
/// one waits for as long as SO_SNDTIMEO allows.  Source: connect(2), socket(7).
void connect_unix(int fd, Deadline until, const SocketAddress& address) {
    for (;;) {
        if (until) {
            const auto left = std::chrono::ceil<std::chrono::microseconds>(*until - Clock::now());
            if (left.count() <= 0) throw std::system_error{ETIMEDOUT, std::generic_category(), "connect"};
            const timeval limit{.tv_sec = left.count() / 1'000'000, .tv_usec = left.count() % 1'000'000};
            check(::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "limit the time to connect");
        }
        if (::connect(fd, address.data(), address.size()) == 0) return;
        if (errno == EAGAIN) throw std::system_error{ETIMEDOUT, std::generic_category(), "connect"};
        if (errno != EINTR) throw_errno("connect");
    }
}

}  // namespace

std::vector<SocketAddress> look_up(const Endpoint& endpoint, const Patience& patience) try {
    if (is_unix(endpoint) || !endpoint.host.empty()) return resolve_within(endpoint, patience);
    // Numbers, because a container may have no /etc/hosts to look localhost up in.
    Endpoint here = endpoint;
    here.host = "::1";
    std::vector<SocketAddress> addresses = resolve(here);
    here.host = "127.0.0.1";
    for (const SocketAddress& address : resolve(here)) addresses.push_back(address);
    return addresses;
} catch (const std::system_error& error) { throw std::runtime_error{fmt::format("look up {}", error.what())}; }

std::string name_of(const SocketAddress& address) { return address_of(address.to_endpoint(SOCK_STREAM)); }

UniqueFd connect_within(Deadline until, const SocketAddress& address, int socket_type) {
    UniqueFd fd{check(::socket(address.family(), socket_type | SOCK_CLOEXEC, 0), "open a socket")};
    if (address.family() == AF_UNIX) {
        connect_unix(fd.get(), until, address);
        set_non_blocking(fd.get());
        return fd;
    }
    set_non_blocking(fd.get());
    if (::connect(fd.get(), address.data(), address.size()) == 0) return fd;
    if (errno != EINPROGRESS) throw_errno("connect");
    pollfd watched{.fd = fd.get(), .events = POLLOUT, .revents = 0};
    if (!wait_until(until, {&watched, 1})) throw std::system_error{ETIMEDOUT, std::generic_category(), "connect"};
    int error = 0;
    socklen_t size = sizeof error;
    check(::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size), "connect");
    if (error != 0) throw std::system_error{error, std::generic_category(), "connect"};
    return fd;
}

std::string Failures::add(const SocketAddress& address, const std::error_code& error) {
    const std::string reason = error.message() + std::string{remedy_for(error.value(), endpoint_)};
    failures_.push_back({.address = name_of(address), .reason = reason});
    return reason;
}

void Failures::raise() const {
    const bool alike =
        std::ranges::all_of(failures_, [this](const Failure& each) { return each.reason == failures_.front().reason; });
    std::vector<std::string> reasons;
    for (const Failure& each : failures_) {
        if (alike && !reasons.empty()) break;
        reasons.push_back(alike ? each.reason : each.address + ": " + each.reason);
    }
    throw std::runtime_error{fmt::format("connect {}: {}", name_, fmt::join(reasons, ", "))};
}

}  // namespace preforkd
