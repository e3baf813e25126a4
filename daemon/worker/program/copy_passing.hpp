#pragma once
// The listeners of a pool of programs, as each copy gets them.
#include <vector>

#include "common/net/listener.hpp"
#include "daemon/worker/program/copy_sockets.hpp"

namespace preforkd {

[[nodiscard]] std::vector<CopySocket> copy_sockets_of(const std::vector<Listener>& listeners);

/// Whether its sockets wait, as programs expect of what they are given.  O_NONBLOCK belongs to the description, which
/// all copies share: a program that wants it sets it, and must not lose it while copies of it run.
void make_blocking(const std::vector<Listener>& listeners);

}  // namespace preforkd
