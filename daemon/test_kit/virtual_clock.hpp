#pragma once
// The clock of a process that links the test kit.
#include <chrono>
#include <cstdint>

namespace preforkd::test {

/// Lets `time` pass at once, for all that waits with a deadline in this process and its children.
void advance_clock(std::chrono::milliseconds time);

/// How often a wait in poll() or epoll_wait() has come to its end there.
[[nodiscard]] std::uint64_t ended_waits() noexcept;

}  // namespace preforkd::test
