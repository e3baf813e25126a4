#pragma once

namespace preforkd {

/// What this build calls itself: `0.1.0`.  A function in a file of its own, so that two builds can differ in nothing
/// else.
[[nodiscard]] const char* version() noexcept;

}  // namespace preforkd
