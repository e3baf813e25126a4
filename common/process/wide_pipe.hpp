#pragma once
// Pipes that hold 256 KiB, for splice(2).
#include <cstddef>
#include <vector>

#include "common/base/unique_fd.hpp"

namespace preforkd {

struct WidePipe {
    UniqueFd out{};
    UniqueFd in{};
};

/// Non-blocking ones, `count` of them, or as many as the user may have: all pipes of one share a limit
/// (pipe-user-pages-soft, pipe(7)).  Behind a worker's sandbox there are none: it forbids to size a pipe.
[[nodiscard]] std::vector<WidePipe> make_wide_pipes(std::size_t count);

}  // namespace preforkd
