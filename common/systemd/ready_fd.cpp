#include "common/systemd/ready_fd.hpp"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/log/log_sink.hpp"
#include "common/process/descriptors.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

UniqueFd take_ready_fd(std::optional<int> number) {
    if (!number) return {};
    const int flags = ::fcntl(*number, F_GETFL);
    if (flags == -1 || (flags & O_ACCMODE) == O_RDONLY)
        throw OperatorError{ExitCode::Usage, "--ready-fd " + std::to_string(*number) + ": this descriptor is not open" +
                                                 (flags == -1 ? "" : " for writing") +
                                                 "; pass one, as in `--ready-fd 3 3>file`"};
    ::fcntl(*number, F_SETFD, FD_CLOEXEC);
    if (*number > STDERR_FILENO) return UniqueFd{*number};
    // Closed later, standard output would be the number of whatever is opened next, and children keep 0 to 2.
    UniqueFd moved{check(::fcntl(*number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), "--ready-fd")};
    ::close(*number);
    open_standard_descriptors();
    return moved;
}

void announce_ready(UniqueFd fd, const std::vector<Listener>& listeners) noexcept {
    if (!fd) return;
    std::string lines;
    for (const Listener& listener : listeners) lines += to_string(listener) + '\n';
    // As lines of the log are written: others may have made this description, so that it blocks.
    const LogWay way = log_way_of(fd.get());
    for (std::string_view rest = lines; !rest.empty();) {
        const std::string_view piece = rest.substr(0, PIPE_BUF);  // what a pipe has capacity for when it says so
        if (write_log_line(fd.get(), way, piece) != LogOutcome::Written) {
            if (errno == EPIPE) return;  // nobody wants to know any more
            if (errno == EAGAIN)
                return log(LogLevel::Warning,
                           "--ready-fd is full and nobody reads it: the endpoints are not written to it");
            return log(LogLevel::Error, "--ready-fd could not be written: {cause}", {{"cause", std::strerror(errno)}});
        }
        rest.remove_prefix(piece.size());
    }
}

}  // namespace preforkd
