#include "common/log/trusted_links.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

constexpr int most_links = 40;  // Source: path_resolution(7)

/// A way from a directory onwards.
struct Walk {
    UniqueFd directory{};
    std::string rest{};

    void begin(std::string path) {
        if (path.starts_with('/') || !directory)
            directory = UniqueFd{::open(path.starts_with('/') ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
        rest = std::move(path);
    }

    std::string take_name() {
        rest.erase(0, rest.find_first_not_of('/'));
        std::string name = rest.substr(0, rest.find('/'));
        rest.erase(0, name.size());
        return name;
    }
};

/// What /proc shows of a descriptor or a directory has a text that need not lead there: only the kernel can follow it.
bool is_in_proc(int link) noexcept {
    struct ::statfs system {};
    return ::fstatfs(link, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

/// Whether `name` is a link that may be followed; else errno says what is in the way.
bool check_link(int link, const std::string& path, const std::string& name) {
    struct ::stat status {};
    if (link == -1 || ::fstat(link, &status) == -1) return false;
    if (!S_ISLNK(status.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    if (status.st_uid == 0 || status.st_uid == ::geteuid()) return true;
    throw OperatorError{
        ExitCode::Configuration,
        fmt::format("--log-file {}: {} is a symbolic link of user {}, which could lead anywhere; name the file that it "
                    "leads to",
                    path, printable(name), status.st_uid)};
}

/// Opens the end of the way; `link`: 0 where it may be followed, else O_NOFOLLOW.
using OpenEnd = std::function<UniqueFd(int from, const char* name, int link)>;

UniqueFd walk_to(const std::string& path, const OpenEnd& open_end) {
    Walk walk;
    walk.begin(path);
    for (int links = 0; walk.directory;) {
        const std::string name = walk.take_name();
        const bool last = walk.rest.empty();
        const int from = walk.directory.get();
        const auto open_next = [&](const char* wanted, int link) {
            if (last) return open_end(from, wanted, link);
            return UniqueFd{::openat(from, wanted, O_PATH | O_DIRECTORY | O_CLOEXEC | link)};
        };
        // "" after the last slash of a path: a directory, which cannot be written to.
        UniqueFd next = open_next(name.empty() ? "." : name.c_str(), O_NOFOLLOW);
        if (!next && (errno == ELOOP || errno == ENOTDIR)) {
            const UniqueFd link{::openat(from, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
            if (!check_link(link.get(), path, name)) return {};
            if (++links > most_links) {
                errno = ELOOP;
                return {};
            }
            if (!is_in_proc(link.get())) {
                std::array<char, PATH_MAX> target;
                const ::ssize_t size = ::readlinkat(link.get(), "", target.data(), target.size());
                if (size == -1) return {};
                walk.begin(std::string{target.data(), static_cast<std::size_t>(size)} + walk.rest);
                continue;
            }
            next = open_next(name.c_str(), 0);
        }
        if (last || !next) return next;
        walk.directory = std::move(next);
    }
    return {};
}

bool may_be_made_in(int directory) { return ::faccessat(directory, ".", W_OK | X_OK, AT_EACCESS) == 0; }

UniqueFd would_open(int from, const char* name, int flags) {
    struct ::stat status {};
    const bool is_fifo = ::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(status.st_mode);
    UniqueFd end{::openat(from, name, is_fifo ? O_PATH | O_CLOEXEC : flags)};
    if (is_fifo && end && ::faccessat(from, name, W_OK, AT_EACCESS) == -1) return {};
    if (!end && errno == ENOENT && may_be_made_in(from))
        end = UniqueFd{::openat(from, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
    return end;
}

}  // namespace

UniqueFd open_trusting_links(const std::string& path, int flags, ::mode_t mode) {
    return walk_to(
        path, [&](int from, const char* name, int link) { return UniqueFd{::openat(from, name, flags | link, mode)}; });
}

bool would_open_trusting_links(const std::string& path, int flags) {
    return static_cast<bool>(walk_to(
        path, [&](int from, const char* name, int link) { return would_open(from, name, (flags & ~O_CREAT) | link); }));
}

}  // namespace preforkd
