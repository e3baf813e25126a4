#pragma once
// The users that helper processes of a master become, where it is root.
#include <sys/types.h>

#include <cstdint>

namespace preforkd {

/// Processes that shall be nobody else: neither the master, nor its workers, nor each other.
enum class Helper : std::uint8_t { Keys, Observer };

// Those that systemd gives to services which want a user for as long as they run.  Source: systemd.exec(5),
// DynamicUser=
inline constexpr std::uint32_t first_helper_user = 61184;
inline constexpr std::uint32_t last_helper_user = 65519;

/// A number for a helper's user, as its group's: each master's own, as far as there are enough.
[[nodiscard]] constexpr std::uint32_t helper_user(Helper helper, std::uint32_t master) noexcept {
    constexpr std::uint32_t helpers = 2;
    constexpr std::uint32_t masters = (last_helper_user - first_helper_user + 1) / helpers;
    return first_helper_user + master % masters * helpers + static_cast<std::uint32_t>(helper);
}

static_assert(helper_user(Helper::Keys, 0) == first_helper_user);
static_assert(helper_user(Helper::Observer, 2167) == last_helper_user);
static_assert(helper_user(Helper::Keys, 2168) == first_helper_user);

/// What a helper's child of the master does: from now on other users' processes may not send it signals, nor it them,
/// and it gains no rights.  Where the rights for that are not there, or the user namespace has no such user, it stays
/// what its master is.  Returns who it is now.
uid_t become_helper_user(Helper helper);

}  // namespace preforkd
