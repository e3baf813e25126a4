#include "common/process/helper_user.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <optional>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

/// The first that is no user of this system, as one of systemd's may be.
std::optional<uid_t> unused_user(Helper helper) {
    constexpr std::uint32_t attempts = 8;
    const auto master = static_cast<std::uint32_t>(::getppid());
    for (std::uint32_t attempt = 0; attempt < attempts; ++attempt) {
        const uid_t user = helper_user(helper, master + attempt);
        if (::getpwuid(user) == nullptr) return user;
    }
    return std::nullopt;
}

}  // namespace

uid_t become_helper_user(Helper helper) {
    if (::geteuid() == 0)
        if (const auto user = unused_user(helper);
            user && ::setgroups(0, nullptr) == 0 && ::setresgid(*user, *user, *user) == 0)
            (void)!::setresuid(*user, *user, *user);
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
    return ::geteuid();
}

}  // namespace preforkd
