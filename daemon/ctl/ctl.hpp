#pragma once

namespace preforkd {

/// preforkctl: the user's hand.  Returns its exit code: 0, 1 when the server does not answer as it should, 64 for
/// usage.
[[nodiscard]] int run_ctl(int argc, char** argv) noexcept;

}  // namespace preforkd
