#pragma once
#include <atomic>
#include <cstdint>

namespace preforkd {

/// Log lines that were dropped and that no line has told of yet.
struct UntoldLines {
    std::atomic<std::uint64_t> count{};
    std::atomic<int> error{};  ///< why the last one was; an errno
};

}  // namespace preforkd
