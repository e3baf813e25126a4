#pragma once
// Where the daemon can be asked, for the daemon and for preforkctl.  Pure.
#include <optional>
#include <string_view>

#include "preforkd/endpoint.hpp"

namespace preforkd {

/// The `--control` that switches it off.
inline constexpr std::string_view control_off = "off";

/// Reads the ENDPOINT of --control.  Throws std::invalid_argument with `expected ..., not ...`.
[[nodiscard]] Endpoint parse_control_endpoint(std::string_view text);

/// `control.sock` in the directory that systemd has made for the service; of several, separated by colons, in the
/// first.  nullopt for null, and for what is no absolute path.  Source: RuntimeDirectory=, systemd.exec(5).
[[nodiscard]] std::optional<Endpoint> control_in_runtime_directory(const char* runtime_directory);

}  // namespace preforkd
