#pragma once
// What holds for a service: its own attributes, and those of xinetd's defaults.  Pure.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/ctl/import/old_entry.hpp"

namespace preforkd {

/// Each attribute once, with `Set`, in the order in which they are said first; those of the defaults, in which `=` adds
/// as `+=` does, stand behind the others.  The place is that of the last line that has changed it.  What is said
/// against xinetd.conf(5), and xinetd leaves out, is left out here, with a remark.
[[nodiscard]] std::vector<OldAttribute> merge_attributes(const OldEntry& service,
                                                         std::span<const OldAttribute> defaults,
                                                         std::vector<Remark>& remarks);

/// nullptr: it is not said.
[[nodiscard]] const OldAttribute* find_attribute(std::span<const OldAttribute> attributes,
                                                 std::string_view name) noexcept;

/// Its first value; empty: it has none.
[[nodiscard]] std::string value_of(const OldAttribute& attribute);
[[nodiscard]] std::string first_value(std::span<const OldAttribute> attributes, std::string_view name);

/// Whether one of its values is `word`.
[[nodiscard]] bool has_value(const OldAttribute* attribute, std::string_view word) noexcept;

}  // namespace preforkd
