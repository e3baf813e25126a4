#pragma once
// A wait at start-up that a request to stop cuts short.
#include <chrono>

namespace preforkd {

/// Waits for `patience`; true as soon as a blocked SIGTERM, SIGINT or SIGQUIT is pending.  The signal stays pending
/// for whoever reads it later.  Where these signals are not blocked they do what they always do.
[[nodiscard]] bool stop_requested_within(std::chrono::milliseconds patience);

}  // namespace preforkd
