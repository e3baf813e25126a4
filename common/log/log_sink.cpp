#include "common/log/log_sink.hpp"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/base/operator_error.hpp"
#include "common/base/parse_number.hpp"
#include "common/base/sys_error.hpp"
#include "common/log/log_line.hpp"
#include "common/log/trusted_links.hpp"

namespace preforkd {
namespace {

static_assert(1 + log_line_limit_bytes == PIPE_BUF);

constexpr int sndbuf_bytes = 8 * 1024 * 1024;  // what libsystemd takes: the queue to journald is shared by all workers

/// Writes to a description that may block, as far as the kernel lets us not to.
///
/// RWF_NOWAIT makes one write non-blocking; pipes know it since Linux 6.4.  Before, POLLOUT says that a pipe has
/// capacity for PIPE_BUF bytes, which a sibling may take in between: reached only when the description could not be
/// opened again (no /proc, or a pipe that belongs to another user).  Source: pwritev2(2), pipe(7).
ssize_t write_if_ready(int fd, std::string_view line) noexcept {
    const ::iovec piece{.iov_base = const_cast<char*>(line.data()), .iov_len = line.size()};
    const ssize_t written = ::pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (written != -1 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS)) return written;

    ::pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return ::write(fd, line.data(), line.size());
}

/// Where the journal was found, for reconnect_journal().
constinit ::sockaddr_un journal_address{};

/// A datagram socket loses its peer when systemd-journald.socket is restarted; connect() finds the new one.
bool reconnect_journal(int fd) noexcept {
    return (errno == ECONNREFUSED || errno == ENOTCONN) && journal_address.sun_family == AF_UNIX &&
           ::connect(fd, reinterpret_cast<const ::sockaddr*>(&journal_address), sizeof journal_address) == 0;
}

ssize_t send_now(int fd, std::string_view line) noexcept {
    return ::send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t write_once(int fd, LogWay way, std::string_view line) noexcept {
    switch (way) {
        case LogWay::Write: return ::write(fd, line.data(), line.size());
        case LogWay::Send: {
            const ssize_t sent = send_now(fd, line);
            return sent == -1 && reconnect_journal(fd) ? send_now(fd, line) : sent;
        }
        case LogWay::Ask: return write_if_ready(fd, line);
    }
    return -1;
}

bool is_pipe(int fd) noexcept {
    struct ::stat status {};
    return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

/// Source: tty(4): opening it fails with ENXIO without one.
bool has_controlling_terminal() noexcept {
    return static_cast<bool>(UniqueFd{::open("/dev/tty", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)});
}

bool wants_no_colour() noexcept {
    const char* const no_colour = std::getenv("NO_COLOR");
    const char* const kind = std::getenv("TERM");
    return (no_colour != nullptr && *no_colour != '\0') || (kind != nullptr && std::strcmp(kind, "dumb") == 0);
}

constexpr int file_log_flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/// By errno.
[[noreturn]] void refuse_file_log(const std::string& path) {
    if (errno == ENXIO) {
        throw OperatorError{
            ExitCode::Configuration,
            "--log-file " + path + ": nobody reads it; a FIFO needs its reader first, a socket is not a file"};
    }
    const ExitCode code = errno == EACCES || errno == EPERM ? ExitCode::Permission : ExitCode::Configuration;
    throw OperatorError{code, "--log-file " + path + ": " + std::strerror(errno) +
                                  "; name a file in a directory that exists and that preforkd may write to"};
}

}  // namespace

UniqueFd open_standard_error_log() {
    struct ::stat status {};
    if (::fstat(STDERR_FILENO, &status) == -1) {
        return UniqueFd{check(::open("/dev/null", O_WRONLY | O_CLOEXEC), "open /dev/null")};
    }
    if (S_ISFIFO(status.st_mode) || ::isatty(STDERR_FILENO) == 1) {
        UniqueFd own{::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)};
        if (own) return own;
    }
    return UniqueFd{check(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "duplicate standard error")};
}

UniqueFd open_own_end(int pipe, bool blocks) {
    const int flags = O_WRONLY | O_CLOEXEC | (blocks ? 0 : O_NONBLOCK);
    UniqueFd own{::open(("/proc/self/fd/" + std::to_string(pipe)).c_str(), flags)};
    if (own) return own;
    return UniqueFd{check(::fcntl(pipe, F_DUPFD_CLOEXEC, 0), "duplicate the log's pipe")};
}

UniqueFd open_file_log(const std::string& path) {
    constexpr ::mode_t mode = 0640;
    UniqueFd file = open_trusting_links(path, file_log_flags, mode);
    if (!file) refuse_file_log(path);
    return file;
}

void look_at_file_log(const std::string& path) {
    if (!would_open_trusting_links(path, file_log_flags)) refuse_file_log(path);
}

// Not sd_journal_sendv(3): in systemd 252 its socket blocks, so that a journald that has stopped reading stops whoever
// logs, and journal_fd_nonblock() is internal.  Here every send is MSG_DONTWAIT, and a record that does not fit
// (EMSGSIZE, ENOBUFS) is dropped and counted like any other; records are cut at 4 KiB.
// Source: systemd, src/libsystemd/sd-journal/journal-send.c, journal_fd() and sd_journal_sendv().
UniqueFd open_journal_log(const std::string& path) noexcept {
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return {};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket || ::connect(socket.get(), reinterpret_cast<const ::sockaddr*>(&address), sizeof address) == -1)
        return {};
    // The first is for root alone, the second is cut at net.core.wmem_max; the default of 208 KiB works too.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf_bytes, sizeof sndbuf_bytes) == -1) {
        ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &sndbuf_bytes, sizeof sndbuf_bytes);
    }
    journal_address = address;
    return socket;
}

bool standard_error_is_journal() noexcept {
    const char* const variable = std::getenv("JOURNAL_STREAM");
    struct ::stat status {};
    if (variable == nullptr || ::fstat(STDERR_FILENO, &status) == -1) return false;
    const std::string_view text{variable};
    const auto colon = text.find(':');
    return colon != text.npos && parse_number<::dev_t>(text.substr(0, colon)) == status.st_dev &&
           parse_number<::ino_t>(text.substr(colon + 1)) == status.st_ino;
}

LogLayout log_layout(LogFormat format, int fd) noexcept {
    const bool terminal = ::isatty(fd) == 1;
    switch (format) {
        case LogFormat::Journal: return LogLayout::Journal;
        case LogFormat::Json: return LogLayout::Json;
        case LogFormat::Auto:
            if (!terminal) return is_pipe(fd) && has_controlling_terminal() ? LogLayout::Terminal : LogLayout::Json;
            break;
        case LogFormat::Text:
            if (!terminal) return LogLayout::Text;
            break;
    }
    return wants_no_colour() ? LogLayout::Terminal : LogLayout::ColouredTerminal;
}

LogWay log_way_of(int fd) noexcept {
    struct ::stat status {};
    if (::fstat(fd, &status) == -1) return LogWay::Write;
    if (S_ISSOCK(status.st_mode)) return LogWay::Send;
    const bool non_blocking = (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
    return S_ISREG(status.st_mode) || non_blocking ? LogWay::Write : LogWay::Ask;
}

std::size_t write_log_bytes(int fd, LogWay way, std::string_view bytes) noexcept {
    ssize_t written = 0;
    do { written = write_once(fd, way, bytes); } while (written == -1 && errno == EINTR);
    if (written == 0) errno = EAGAIN;
    return static_cast<std::size_t>(std::max<ssize_t>(written, 0));
}

LogOutcome write_log_line(int fd, LogWay way, std::string_view line) noexcept {
    const std::size_t written = write_log_bytes(fd, way, line);
    if (written == 0) return LogOutcome::Dropped;
    return written == line.size() ? LogOutcome::Written : LogOutcome::Torn;
}

std::string_view disk_trouble(int error) noexcept {
    switch (error) {
        case ENOSPC: return "the disk is full";
        case EDQUOT: return "the disk quota is used up";
        case EFBIG: return "the file has reached its size limit";
        case EROFS: return "the disk has become read-only";
        default: return {};
    }
}

std::string_view why_dropped(int error) noexcept {
    const std::string_view trouble = disk_trouble(error);
    return trouble.empty() ? "nobody read them" : trouble;
}

}  // namespace preforkd
