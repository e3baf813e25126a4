#pragma once
#include <chrono>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/accept/connection_account.hpp"
#include "daemon/worker/accept/counted_place.hpp"
#include "daemon/worker/accept/listener_counter.hpp"

namespace preforkd {

/// A connection that has been accepted, while it is not yet known whose it is.
struct TakenStream {
    UniqueFd fd{};  ///< non-blocking, close-on-exec
    CountedPlace place{};
    CountedClient client{};
    std::chrono::milliseconds waited = not_measured;  ///< in the accept queue
};

}  // namespace preforkd
