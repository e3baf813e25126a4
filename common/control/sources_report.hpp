#pragma once
// What `preforkctl sources` tells: plain values, and their way to JSON and back.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

struct SourceReport {
    std::string source{};           ///< an address, a prefix, a user
    std::uint64_t connections = 0;  ///< open now
    std::uint64_t refused = 0;      ///< since it is listed
    friend bool operator==(const SourceReport&, const SourceReport&) = default;
};

/// One listener that limits its sources.
struct ListenerSources {
    std::string endpoint{};
    std::vector<SourceReport> sources{};
    friend bool operator==(const ListenerSources&, const ListenerSources&) = default;
};

[[nodiscard]] std::string to_json(const std::vector<ListenerSources>& listeners);

/// What a daemon of another version does not say, or says besides, is left out.  Throws std::runtime_error for what is
/// no JSON.
[[nodiscard]] std::vector<ListenerSources> parse_sources(std::string_view json);

}  // namespace preforkd
