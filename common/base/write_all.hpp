#pragma once
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string_view>

namespace preforkd {

/// All of `text`, to a descriptor that blocks; false, with errno, where that fails.
[[nodiscard]] inline bool write_all(int file, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(file, text.data(), text.size());
        if (written == -1 && errno != EINTR) return false;
        if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

}  // namespace preforkd
