#pragma once
#include <chrono>
#include <optional>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/accept/counted_place.hpp"
#include "daemon/worker/accept/listener_counter.hpp"

namespace preforkd {

/// A connection that has been accepted, while it is not yet known whose it is.
struct TakenStream {
    UniqueFd fd{};  ///< non-blocking, close-on-exec
    CountedPlace place{};
    CountedClient client{};
    std::optional<std::chrono::milliseconds> waited{};  ///< in the accept queue, where that was measured
};

}  // namespace preforkd
