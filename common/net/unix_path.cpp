#include "common/net/unix_path.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/identity.hpp"
#include "common/process/stop_request.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

[[noreturn]] void refuse(const ListenSettings& settings, ExitCode code, std::string_view sentence) {
    throw OperatorError{code, fmt::format("{}: {}", subject_of(settings), sentence)};
}

/// Calls getpwnam_r(3) or getgrnam_r(3) with a buffer that is large enough for groups of many members.
template <class Entry, class Lookup>
std::optional<Entry> look_up(Lookup lookup, const std::string& name, std::vector<char>& buffer) {
    Entry entry{};
    Entry* found = nullptr;
    for (buffer.resize(4096); lookup(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE;)
        buffer.resize(buffer.size() * 2);
    if (found == nullptr) return std::nullopt;
    return entry;
}

constexpr uid_t unchanged = static_cast<uid_t>(-1);

uid_t uid_of(const ListenSettings& settings) {
    if (settings.user.empty()) return unchanged;
    std::vector<char> buffer;
    if (const auto entry = look_up<passwd>(::getpwnam_r, settings.user, buffer)) return entry->pw_uid;
    if (const auto id = parse_id(settings.user)) return *id;
    refuse(settings, ExitCode::Configuration,
           fmt::format("user={}: no such user: create it or name another", settings.user));
}

gid_t gid_of(const ListenSettings& settings) {
    if (settings.group.empty()) return unchanged;
    std::vector<char> buffer;
    if (const auto entry = look_up<group>(::getgrnam_r, settings.group, buffer)) return entry->gr_gid;
    if (const auto id = parse_id(settings.group)) return *id;
    refuse(settings, ExitCode::Configuration,
           fmt::format("group={}: no such group: create it or name another", settings.group));
}

/// Keeps two daemons that start at once from replacing the same stale socket: the later one would unlink what the
/// earlier has just bound.  The lock is on the directory, so that no lock file stays behind.
UniqueFd lock_directory_of(const std::string& path) {
    const auto directory = std::filesystem::path{path}.parent_path();
    UniqueFd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd) return fd;  // not readable: nothing to lock, bind() will say what is wrong
    // Ours is held for microseconds.  One held for seconds is another program's, in a directory like /tmp: go on
    // without.
    using namespace std::chrono_literals;
    for (int tries = 0; ::flock(fd.get(), LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK && tries < 50; ++tries)
        if (stop_requested_within(50ms)) break;
    return fd;
}

/// Removes a stale socket.
void make_way(const ListenSettings& settings) {
    if (::unlink(settings.endpoint.path.c_str()) == 0 || errno == ENOENT) return;
    refuse(settings, ExitCode::Permission,
           fmt::format("a stale socket is in the way and cannot be removed: {}: remove it, or run as its owner",
                       std::generic_category().message(errno)));
}

/// Says why what stands there stays.
void refuse_occupant(const ListenSettings& settings, PathOccupant occupant) {
    switch (occupant) {
        case PathOccupant::Nothing:
        case PathOccupant::StaleSocket: return;
        // As bind(2) says of every other address in use, and the caller may try again: the workers of a master that
        // was killed have it for a moment longer.
        case PathOccupant::LiveSocket: throw std::system_error{EADDRINUSE, std::generic_category(), "bind"};
        case PathOccupant::Unknown:
            refuse(settings, ExitCode::Permission,
                   "a socket of another user is there, perhaps in use: remove it or choose another path");
        case PathOccupant::NoSocket:
            refuse(settings, ExitCode::Configuration,
                   "a file that is not a socket is there, and is never deleted: remove it or choose another path");
    }
}

/// An O_PATH descriptor takes no fchmod(2): its entry in /proc takes chmod(2), and where /proc is not mounted,
/// Linux 6.6 has a call for it.  In this order, because a seccomp profile may refuse with EPERM what it does not know.
void change_mode(int file, const ListenSettings& settings) {
    constexpr long fchmodat2 = 452;  // also of machines whose C library is older
    if (::chmod(fmt::format("/proc/self/fd/{}", file).c_str(), *settings.mode) == 0) return;
    if (errno != ENOENT && errno != ENOTDIR) throw_errno("chmod");
    if (::syscall(fchmodat2, file, "", *settings.mode, AT_EMPTY_PATH) == 0) return;
    refuse(settings, ExitCode::System,
           "the mode of a socket file cannot be set without /proc before Linux 6.6: mount it, or use unix://@NAME");
}

/// Works on the opened file, never on the path: a user who can write to the directory could put a link to another file
/// there between two calls, and have that one given away.
void apply_owner(int file, const ListenSettings& settings, uid_t uid, gid_t gid) {
    if (uid == unchanged && gid == unchanged) return;
    if (::fchownat(file, "", uid, gid, AT_EMPTY_PATH) == 0) return;
    if (errno != EPERM) throw_errno("chown");
    refuse(settings, ExitCode::Permission,
           "user= or group=: Operation not permitted: run as root, grant CAP_CHOWN, or name a group of this user");
}

void apply_owner_and_mode(int file, const ListenSettings& settings, uid_t uid, gid_t gid) {
    apply_owner(file, settings, uid, gid);
    if (settings.mode) change_mode(file, settings);
}

/// nullopt for what is not a socket: somebody who may write to the directory has put it there since.
std::optional<FileIdentity> identity_of(int file) {
    struct stat info {};
    check(::fstat(file, &info), "stat the socket file");
    if (!S_ISSOCK(info.st_mode)) return std::nullopt;
    return FileIdentity{.device = info.st_dev, .inode = info.st_ino};
}

}  // namespace

PathOccupant occupant_of(const SocketAddress& address) {
    const std::string path = address.to_endpoint(SOCK_STREAM).path;
    struct stat info {};
    if (::lstat(path.c_str(), &info) == -1) return PathOccupant::Nothing;  // bind() tells what is wrong with the path
    if (!S_ISSOCK(info.st_mode)) return PathOccupant::NoSocket;

    // connect(2) with the wrong type ends in EPROTOTYPE if any process has the socket bound, also one that does not
    // listen yet, and queues nothing there; only then is the question worth a real connection.
    for (const int type : {SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET}) {
        const UniqueFd probe{check(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
        if (::connect(probe.get(), address.data(), address.size()) == 0) return PathOccupant::LiveSocket;
        if (errno == ENOENT) return PathOccupant::Nothing;
        if (errno == EACCES) return PathOccupant::Unknown;
        if (errno != ECONNREFUSED) return PathOccupant::LiveSocket;
    }
    return PathOccupant::StaleSocket;
}

FileIdentity bind_unix_path(int fd, const ListenSettings& settings, const SocketAddress& address) {
    const uid_t uid = uid_of(settings);
    const gid_t gid = gid_of(settings);
    const std::string& path = settings.endpoint.path;
    UniqueFd lock = lock_directory_of(path);
    const PathOccupant occupant = occupant_of(address);
    if (occupant == PathOccupant::StaleSocket) {
        make_way(settings);
    } else if (occupant != PathOccupant::Nothing) {
        refuse_occupant(settings, occupant);
    }

    // Bound in place rather than under another name and renamed: getsockname() would tell the other name forever, to
    // clients, to `ss` and to programs that match stored sockets by address.
    // Linux makes the file with the mode of the socket's own inode (less the umask), so this closes it until owner and
    // mode are right.  A datagram socket takes messages as soon as it is bound.
    if (settings.mode) check(::fchmod(fd, 0), "fchmod the socket");
    check(::bind(fd, address.data(), address.size()), "bind");
    const UniqueFd file{::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    if (!file) {
        const int error = errno;
        ::unlink(path.c_str());  // out of descriptors, say: nobody else has had the time to put anything there
        throw std::system_error{error, std::generic_category(), "open the socket file"};
    }
    const std::optional<FileIdentity> made = identity_of(file.get());
    if (!made)
        refuse(settings, ExitCode::System,
               "a file that is not a socket has replaced the new one, and is left alone: choose a directory "
               "where only the daemon may write");
    try {
        apply_owner_and_mode(file.get(), settings, uid, gid);
    } catch (const std::exception&) {
        remove_if_same(path, *made);
        throw;
    }
    return *made;
}

void look_at_unix_path(const ListenSettings& settings, const SocketAddress& address) {
    const uid_t uid = uid_of(settings);
    const gid_t gid = gid_of(settings);
    if (const PathOccupant occupant = occupant_of(address); occupant != PathOccupant::LiveSocket)
        refuse_occupant(settings, occupant);
    const auto directory = std::filesystem::path{settings.endpoint.path}.parent_path() / "";
    check(::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS), "bind");
    // Who may give a file of his away is known by a file that nobody else sees.
    const UniqueFd file{check(::memfd_create("owner", MFD_CLOEXEC), "make a file in memory")};
    apply_owner(file.get(), settings, uid, gid);
}

bool set_owner_and_mode(const ListenSettings& settings, const FileIdentity& identity) {
    const uid_t uid = uid_of(settings);
    const gid_t gid = gid_of(settings);
    const UniqueFd file{::open(settings.endpoint.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    if (!file || identity_of(file.get()) != identity) return false;
    apply_owner_and_mode(file.get(), settings, uid, gid);
    return true;
}

void warn_of_private_directory(const ListenSettings& settings) {
    constexpr unsigned others = 0077;
    if ((settings.mode.value_or(0) & others) == 0) return;
    std::error_code ignored;
    const auto directory =
        std::filesystem::canonical(std::filesystem::path{settings.endpoint.path}.parent_path(), ignored);
    for (const std::string_view top : {"/run/private", "/var/lib/private", "/var/cache/private", "/var/log/private"})
        if (directory.native().starts_with(std::string{top} + '/'))
            log(LogLevel::Warning,
                fmt::format("{}: only root may enter {} (systemd: DynamicUser=), whatever mode= says: have a "
                            ".socket unit bind it for others",
                            subject_of(settings), top));
}

bool is_socket_at(const std::string& path, const FileIdentity& identity) noexcept {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) &&
           FileIdentity{.device = info.st_dev, .inode = info.st_ino} == identity;
}

void remove_if_same(const std::string& path, const FileIdentity& identity) noexcept {
    if (is_socket_at(path, identity)) ::unlink(path.c_str());
}

}  // namespace preforkd
