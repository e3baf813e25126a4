#pragma once
// The listeners of a pool of programs, as each copy gets them.
#include <cstddef>
#include <vector>

#include "common/config/settings.hpp"
#include "common/net/listener.hpp"
#include "daemon/worker/program/copy_sockets.hpp"

namespace preforkd {

/// Of the listeners those of one service.
[[nodiscard]] std::vector<CopySocket> copy_sockets_of(const std::vector<Listener>& listeners, std::size_t service);

/// Has one wait, as programs expect of what they are given.  O_NONBLOCK belongs to the description, which
/// all copies share: a program that wants it sets it, and must not lose it while copies of it run.
void make_blocking(const Listener& listener);

/// The same with all that copies get.
void make_blocking(const std::vector<Listener>& listeners, const Settings& settings);

}  // namespace preforkd
