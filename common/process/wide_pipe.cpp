#include "common/process/wide_pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace preforkd {

std::vector<WidePipe> make_wide_pipes(std::size_t count) {
    constexpr int wanted_bytes = 256 * 1024;
    std::vector<WidePipe> made;
    while (made.size() < count) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == -1) break;
        WidePipe pipe{.out = UniqueFd{ends[0]}, .in = UniqueFd{ends[1]}};
        if (::fcntl(pipe.in.get(), F_SETPIPE_SZ, wanted_bytes) == -1) break;
        made.push_back(std::move(pipe));
    }
    return made;
}

}  // namespace preforkd
