#pragma once
#include <span>
#include <string_view>

#include "preforkd/log.hpp"

namespace preforkd {

/// As log(), where it depends which fields a line has.
void log_fields(LogLevel level, std::string_view sentence, std::span<const LogField> fields) noexcept;

}  // namespace preforkd
