#pragma once
// Where the daemon can be asked, for the daemon and for preforkctl.  Pure.
#include <optional>
#include <string>
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

/// Where a daemon that nothing says a path to has its socket: `/run/preforkd-by-hand` for root, `preforkd` in
/// $XDG_RUNTIME_DIR for others.  Never below /run/preforkd, which is the service's, and with DynamicUser= another
/// user's.  nullopt where that variable is null or no absolute path.
[[nodiscard]] std::optional<std::string> control_directory_by_hand(bool is_root, const char* xdg_runtime_dir);

/// `NAME.sock` in there.
[[nodiscard]] Endpoint control_by_hand(const std::string& directory, std::string_view name);

/// What a file there is the socket of; nullopt: of none.
[[nodiscard]] std::optional<std::string_view> name_by_hand(std::string_view file);

/// The NAME of --name.  Throws std::invalid_argument with `expected ..., not ...`.
[[nodiscard]] std::string read_daemon_name(std::string_view text);

/// What --control comes to, to be compared: an endpoint, `off`, or empty for a socket by hand.
[[nodiscard]] std::string control_place(const std::string& control, const char* runtime_directory);

}  // namespace preforkd
