#pragma once
// Handlers from shared objects: --handler ./libupper.so.
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/unique_fd.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// Whether `handler` names a file rather than an entry: it has a slash.
[[nodiscard]] constexpr bool is_shared_object(std::string_view handler) noexcept {
    return handler.find('/') != std::string_view::npos;
}

struct LoadedObject {
    HandlerEntry entry{};                           ///< that it exports
    std::optional<std::string> why_not_the_copy{};  ///< if its file has been loaded and not the copy
};

/// Loads the shared object at `path` into this process, for good: a `copy` of it if there is one (-1: none) that the
/// loader takes, since a file that is written to, as by cp, changes under those who have it loaded.
/// Throws std::runtime_error: one sentence that says what is wrong with the file and what to do about it.
[[nodiscard]] LoadedObject load_shared_object(const std::string& path, int copy);

/// The shared object of a generation, in the master that has it tried and in the workers, each of which loads it.
class SharedObject {
public:
    SharedObject(std::string path, UniqueFd copy) : path_{std::move(path)}, copy_{std::move(copy)} {}

    /// -1: it is its file that is loaded, or it has been.
    [[nodiscard]] int copy() const noexcept { return copy_.get(); }
    void load_its_file() noexcept { copy_ = {}; }

    /// In the process that shall have it.
    [[nodiscard]] const HandlerEntry& load();

private:
    std::string path_;
    UniqueFd copy_;
    std::optional<HandlerEntry> entry_{};
};

}  // namespace preforkd
