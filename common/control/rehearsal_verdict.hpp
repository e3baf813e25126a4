#pragma once
// How a new image tells the running one that it can carry on, or why not.
#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>

namespace preforkd {

inline constexpr std::string_view verdict_passed = "passed";
/// The same of an image that takes over every peer of the control socket; for a running one that has said it gives
/// them.
inline constexpr std::string_view verdict_passed_with_peers = "passed, and takes peers";

/// One write, which a pipe takes whole.
inline void write_verdict(int pipe, std::string_view verdict) noexcept {
    (void)!::write(pipe, verdict.data(), verdict.substr(0, PIPE_BUF).size());
}

/// Whether a verdict waits to be read; `pipe` is either end.  Source: pipe(7), FIONREAD.
[[nodiscard]] inline bool has_verdict(int pipe) noexcept {
    int waiting = 0;
    return ::ioctl(pipe, FIONREAD, &waiting) == 0 && waiting > 0;
}

/// Empty when nothing was said.  `pipe`: non-blocking.
[[nodiscard]] inline std::string read_verdict(int pipe) {
    std::array<char, PIPE_BUF> space{};
    const ssize_t size = ::read(pipe, space.data(), space.size());
    return {space.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace preforkd
