#pragma once
// What the clients of a service in a test do.
#include <string>
#include <string_view>

#include "common/base/unique_fd.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd::test {

/// What announces the client `from`, tcp://ADDRESS:PORT or udp://ADDRESS:PORT, as `transport` says; empty: itself.
[[nodiscard]] std::string announcement_of(std::string_view from, Transport transport);

/// Of SOCK_STREAM or SOCK_DGRAM.  Throws std::runtime_error where it serves the other.
[[nodiscard]] UniqueFd connect_to(const Endpoint& service, int type);

/// Until something has come.  Throws std::runtime_error after 10 s.
void wait_for_handler(int socket);

}  // namespace preforkd::test
