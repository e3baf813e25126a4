#include "common/process/private_directory.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
    throw std::runtime_error{fmt::format("{} {}", path, reason)};
}

}  // namespace

void make_private_directory(const std::string& path) {
    constexpr unsigned for_its_owner = 0700;
    constexpr unsigned others = 0077;
    if (::mkdir(path.c_str(), for_its_owner) == -1 && errno != EEXIST) throw_errno("create " + path);
    const UniqueFd directory{::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!directory && errno != ENOTDIR && errno != ELOOP) throw_errno("open " + path);
    if (!directory) refuse(path, "is not a directory, or a symbolic link to one: remove it");
    struct stat info {};
    check(::fstat(directory.get(), &info), "stat " + path);
    if (info.st_uid != ::geteuid()) refuse(path, fmt::format("belongs to user {}: remove it", info.st_uid));
    if ((info.st_mode & others) != 0)
        refuse(path, fmt::format("is open to others, mode {:04o}: chmod 700 it", info.st_mode & 07777U));
}

}  // namespace preforkd
