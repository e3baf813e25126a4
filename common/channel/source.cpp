#include "common/channel/source.hpp"

namespace preforkd {

/// Also of what no worker should have written: the table is theirs.
std::string to_string(const Source& source) {
    if (source.kind <= 128)
        return to_string(
            HostPrefix{.first = {.high = source.high, .low = source.low}, .bits = static_cast<int>(source.kind)});
    return source.kind == Source::of_user ? "user " + std::to_string(source.low) : "unknown";
}

}  // namespace preforkd
