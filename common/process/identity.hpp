#pragma once
// The user and groups that workers run as.
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// What a user's environment says of them.  Source: passwd(5).
struct Account {
    std::string name{};
    std::string home{};
    std::string shell{};
};

/// A user and a group, looked up before the fork.  Unset members are left as they are.
struct Identity {
    std::optional<uid_t> uid{};
    std::optional<gid_t> gid{};
    std::vector<gid_t> groups{};       ///< supplementary
    std::optional<Account> account{};  ///< unset: the uid has no entry
};

/// What an operator names them by, with what stands before the name, and what may be said to whom the right is missing.
struct IdentityOptions {
    std::string_view user = "--user ";
    std::string_view group = "--group ";
    std::string_view both = "--user, --group";
    std::string_view without_root = "start preforkd as root, or as that user without these options";
    std::string_view without_capabilities =
        "grant it (docker run --cap-add), or start preforkd as that user without these options";
};

/// The number of a user or a group.  nullopt also for (id_t)-1, which tells chown(2) and setresuid(2) to leave it
/// alone.
[[nodiscard]] std::optional<id_t> parse_id(std::string_view text) noexcept;

/// Looks up --user and --group, names or numbers; empty strings ask for nothing.  A user brings its own group and
/// supplementary groups.  Throws OperatorError: 78 when there is no such name, 77 when this process may not become it.
[[nodiscard]] Identity look_up_identity(const std::string& user, const std::string& group,
                                        const IdentityOptions& options = {});

/// Becomes `identity` for good: supplementary groups, gid, uid, no_new_privs, in this order, and verified.
/// Does nothing when it asks for nothing.  Source: setgroups(2), setresuid(2), PR_SET_NO_NEW_PRIVS.
///
/// With a user its environment is that user's: HOME, USER, LOGNAME, SHELL and MAIL; of one without an entry HOME=/ and
/// none of the others.  SUDO_* and XDG_*, which tell of whoever started us, go.  The rest stays.
void assume(const Identity& identity);

/// The same of an environment that is not this process's, NAME=VALUE each.  `identity` has a user.
[[nodiscard]] std::vector<std::string> environment_of(const Identity& identity, std::vector<std::string> inherited);

}  // namespace preforkd
