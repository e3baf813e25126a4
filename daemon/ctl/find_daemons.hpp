#pragma once
// Which daemons of this machine can be asked, where nobody says where.
#include <optional>
#include <string>
#include <vector>

#include "preforkd/endpoint.hpp"

namespace preforkd {

struct FoundDaemon {
    std::string name{};  ///< as -i calls it; not of one whose endpoint was given
    Endpoint control{};
};

/// Those that live: the service (`preforkd`) and its instances (NAME of preforkd@NAME), and those that this user has
/// started by hand (--name).  `wanted`: of that name alone, also the service whose RuntimeDirectory= is that name.
/// Throws std::runtime_error with one sentence where there is none.
[[nodiscard]] std::vector<FoundDaemon> find_daemons(const std::optional<std::string>& wanted,
                                                    const char* xdg_runtime_dir);

}  // namespace preforkd
