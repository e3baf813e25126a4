#pragma once
// When a worker retires.  Pure.
#include <cstdint>

namespace preforkd {

/// After how many connections the worker of this number retires; 0: never.
///
/// `max_requests` ±10 %, spread by the worker's number, so that workers started together do not retire together.
/// A replacement gets the same share again, which keeps the spread.  At least 1.
[[nodiscard]] constexpr std::uint64_t requests_before_retiring(std::uint64_t max_requests, int number) noexcept {
    if (max_requests == 0) return 0;
    // The golden ratio spreads consecutive numbers evenly over [0, 1000) however many workers there are.
    const std::uint64_t thousandths = static_cast<std::uint64_t>(number) * 618 % 1000;
    const std::uint64_t spread = max_requests / 10;
    const std::uint64_t shifted = max_requests - spread + 2 * spread * thousandths / 1000;
    return shifted == 0 ? 1 : shifted;
}

/// At how many private bytes the worker of this number retires; 0: never.
///
/// `max_bytes` less up to 10 %, spread as above: workers that leak alike do not retire together, and none is allowed
/// more than was asked for.
[[nodiscard]] constexpr std::uint64_t bytes_before_retiring(std::uint64_t max_bytes, int number) noexcept {
    const std::uint64_t thousandths = static_cast<std::uint64_t>(number) * 618 % 1000;
    return max_bytes - max_bytes / 10 * thousandths / 1000;
}

static_assert(bytes_before_retiring(0, 5) == 0);
static_assert(requests_before_retiring(0, 5) == 0);
static_assert(requests_before_retiring(1, 5) == 1);

}  // namespace preforkd
