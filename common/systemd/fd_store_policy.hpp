#pragma once
// What systemd's store calls the listeners that we leave there, and which are to be left there.  Pure.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/unix_path.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// The most characters of a name.  Source: systemd, fdname_is_valid().
inline constexpr std::size_t longest_stored_name = 255;

/// `preforkd,tcp%3a//127.0.0.1%3a80,`: tells a socket of ours from a foreign one, one of ours from another, and, for a
/// Unix path, the file that was ours to remove.  Only ever made of printable ASCII without a colon.
/// `queue`: which of several at one address; the store forgets all of a name at once, and gives back in any order.
/// Empty: the endpoint has too long a name to be stored.
[[nodiscard]] std::string stored_name(const Endpoint& local, const std::optional<FileIdentity>& file, int queue = 0);

/// 0 where it has none.
[[nodiscard]] int queue_in_stored_name(std::string_view name) noexcept;

/// Whether stored_name() has made it.
[[nodiscard]] bool is_stored_name(std::string_view name) noexcept;

/// The file that is ours to remove.
[[nodiscard]] std::optional<FileIdentity> file_in_stored_name(std::string_view name) noexcept;

}  // namespace preforkd
