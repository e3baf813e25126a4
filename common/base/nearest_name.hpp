#pragma once
// What somebody who mistyped a name may have meant.  Pure.
#include <optional>
#include <span>
#include <string_view>

namespace preforkd {

/// The one of `names` that is nearest to `wrong`: at most 2 keystrokes away (insert, delete, replace, swap), and fewer
/// than half of what was written; case and `_` for `-` are no difference.  nullopt if none is near.
[[nodiscard]] std::optional<std::string_view> nearest_name(std::string_view wrong,
                                                           std::span<const std::string_view> names);

}  // namespace preforkd
