#pragma once
// Listeners and clients on loopback.
#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/sys_error.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"
#include "waiting.hpp"

namespace preforkd::testing {

inline ListenSettings settings_for(const std::string& endpoint) { return {.endpoint = parse_endpoint(endpoint)}; }

inline std::vector<Listener> bind_one(const ListenSettings& settings) {
    return bind_listeners({settings}, std::nullopt);
}
inline std::vector<Listener> bind_one(const std::string& endpoint) { return bind_one(settings_for(endpoint)); }

inline SocketAddress numeric(const std::string& host, std::uint16_t port) {
    return resolve({.transport = Transport::Tcp, .host = host, .port = port}).at(0);
}

inline UniqueFd client_socket(int family, int flags = 0) {
    return UniqueFd{check(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket")};
}

inline UniqueFd accept_from(const Listener& listener) {
    pollfd ready{.fd = listener.fd.get(), .events = POLLIN, .revents = 0};
    check(::poll(&ready, 1, 10'000), "poll");
    return UniqueFd{check(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept")};
}

inline int option_of(int fd, int level, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    check(::getsockopt(fd, level, option, &value, &size), "getsockopt");
    return value;
}

}  // namespace preforkd::testing
