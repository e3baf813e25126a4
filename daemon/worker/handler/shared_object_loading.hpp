#pragma once
// Handlers from shared objects: --handler ./libupper.so.
#include <string>
#include <string_view>

#include "preforkd/handlers.hpp"

namespace preforkd {

/// Whether `handler` names a file rather than an entry: it has a slash.
[[nodiscard]] constexpr bool is_shared_object(std::string_view handler) noexcept {
    return handler.find('/') != std::string_view::npos;
}

/// Loads the shared object at `path` into this process, for good, and returns the entry it exports.
/// Throws std::runtime_error: one sentence that says what is wrong with the file and what to do about it.
[[nodiscard]] HandlerEntry load_shared_object(const std::string& path);

}  // namespace preforkd
