#pragma once
// As what the programs of a listener run, where that is not as their worker.  Pure data.
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// `infinity`, RLIM_INFINITY.  Source: getrlimit(2)
inline constexpr std::uint64_t no_resource_limit = ~std::uint64_t{0};

struct ResourceLimit {
    int resource = 0;  ///< RLIMIT_*
    std::uint64_t soft = no_resource_limit;
    std::uint64_t hard = no_resource_limit;
    friend auto operator<=>(const ResourceLimit&, const ResourceLimit&) = default;
};

/// Unset and empty: as the worker, but for RLIMIT_NOFILE, which is as the daemon was given it.
struct RunAs {
    std::string user{};   ///< name or number
    std::string group{};  ///< likewise; empty: the user's own
    std::optional<int> nice{};
    std::vector<std::string> environment{};  ///< NAME=VALUE, no name twice: instead of what the daemon has
    std::string chdir{};
    std::optional<unsigned> umask{};
    std::map<std::string_view, ResourceLimit> limits{};  ///< by key: `limit-nofile`
    friend auto operator<=>(const RunAs&, const RunAs&) = default;
};

}  // namespace preforkd
