#pragma once
// inetd=wait: a program that gets the listening socket, and accepts or receives by itself until it ends.
#include <functional>

#include "daemon/worker/model/child_model.hpp"

namespace preforkd {

/// Starts the program with `socket` as its descriptors 0 and 1.  Throws std::system_error.
using StartWaiting = std::function<ChildProcess(int socket, int standard_error)>;

/// Starts one program when somebody waits at `listener`, and leaves the socket to it until it has ended.
[[nodiscard]] Acceptor::Take take_by_handing_over(const Listener& listener, ChildModel& model, StartWaiting start);

}  // namespace preforkd
