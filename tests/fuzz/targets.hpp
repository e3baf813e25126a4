#pragma once
// What reads text that others write, each with what must hold whatever they write.
#include <span>
#include <string_view>

namespace preforkd::fuzz {

struct Target {
    std::string_view name;
    /// Reads `bytes`.  Aborts, with a sentence, when something does not hold; lets no exception out that the reader's
    /// header does not name.
    void (*read)(std::string_view bytes);
};

[[nodiscard]] std::span<const Target> targets() noexcept;

}  // namespace preforkd::fuzz
