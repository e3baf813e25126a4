#pragma once
// Where the process that observes listens: --observe and --agent.  Pure.
#include <optional>
#include <string>
#include <string_view>

#include "common/config/settings.hpp"

namespace preforkd {

inline constexpr std::string_view observe_off = "off";

/// `off`, or an endpoint as behind --listen: tcp, unix or fd, with those of its keys alone that make sense here.
/// All addresses of the machine have to be spelled out.  Throws std::invalid_argument with one sentence.
[[nodiscard]] std::optional<ListenSettings> parse_observe_endpoint(std::string_view text, Serves serves);

[[nodiscard]] std::string print_observe_endpoint(const std::optional<ListenSettings>& endpoint);

/// Whether only this machine reaches it, as far as its text tells.
[[nodiscard]] bool is_local(const Endpoint& endpoint);

}  // namespace preforkd
