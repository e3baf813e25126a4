#include "common/process/file_access.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

namespace {

// What Debian 12's headers do not have yet.  Source: linux/landlock.h of Linux 6.12
constexpr std::uint64_t truncate_right = 1U << 14;      // since version 3
constexpr std::uint64_t device_ioctl_right = 1U << 15;  // since version 5
constexpr std::uint64_t scope_of_signals = 1U << 1;     // since version 6
struct Ruleset {
    std::uint64_t file_rights;
    std::uint64_t network_rights;
    std::uint64_t scopes;
};

constexpr std::uint64_t read_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t rights_of_a_file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                                           LANDLOCK_ACCESS_FS_WRITE_FILE | truncate_right | device_ioctl_right;
constexpr std::uint64_t rights_of_the_first_version = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

constexpr std::uint64_t all_rights(int version) {
    std::uint64_t rights = rights_of_the_first_version;
    if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3) rights |= truncate_right;
    if (version >= 5) rights |= device_ioctl_right;
    return rights;
}
static_assert(all_rights(1) == 0x1fff && all_rights(2) == 0x3fff && all_rights(4) == 0x7fff && all_rights(7) == 0xffff);

/// How much of it the kernel knows: it refuses what is longer and not zero.
constexpr std::size_t ruleset_bytes(int version) {
    return version >= 6 ? sizeof(Ruleset) : sizeof Ruleset::file_rights;
}

void allow(int ruleset, const AllowedPath& allowed, std::uint64_t rights) {
    const std::string attempt = (allowed.option.empty() ? "" : allowed.option + ' ') + allowed.path;
    UniqueFd path{::open(allowed.path.c_str(), O_PATH | O_CLOEXEC)};
    if (!path && allowed.option.empty()) return;
    check(path.get(), attempt);
    struct stat status {};
    check(::fstat(path.get(), &status), attempt);
    if (!allowed.written) rights &= read_rights;
    if (!S_ISDIR(status.st_mode)) rights &= rights_of_a_file;
    const landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = path.get()};
    check(static_cast<int>(::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0)), attempt);
    // Of what nobody has open in /proc the kernel may make another, which no rule knows.
    if (allowed.in_proc) (void)path.release();
}

}  // namespace

int landlock_version() noexcept {
    const long version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : static_cast<int>(version);
}

void allow_files_only(std::span<const AllowedPath> allowed) {
    const int version = landlock_version();
    const std::uint64_t rights = all_rights(version);
    const Ruleset wanted{.file_rights = rights, .network_rights = 0, .scopes = version >= 6 ? scope_of_signals : 0};
    const UniqueFd ruleset{
        check(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &wanted, ruleset_bytes(version), 0)),
              "make a sandbox")};
    for (const AllowedPath& each : allowed) allow(ruleset.get(), each, rights);
    check(static_cast<int>(::syscall(SYS_landlock_restrict_self, ruleset.get(), 0)), "put on a sandbox");
}

}  // namespace preforkd
