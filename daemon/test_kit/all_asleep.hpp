#pragma once

namespace preforkd::test {

/// Waits until all other threads of this process, and its children, sleep: so they have done what they had to do.
/// Throws std::runtime_error when that takes 10 s.
void wait_until_all_sleep();

}  // namespace preforkd::test
