#pragma once
#include <cstdint>

namespace preforkd {

/// One warning about connections that a stop did not wait for; nothing if there were none.
/// `generation`: whose workers were ended, where others go on.
void log_cut_connections(std::uint64_t connections, int generation = 0) noexcept;

}  // namespace preforkd
