#include "common/base/version.hpp"

namespace preforkd {

const char* version() noexcept { return PREFORKD_VERSION; }

}  // namespace preforkd
