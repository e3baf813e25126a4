#include "common/ready_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "common/descriptors.hpp"
#include "common/operator_error.hpp"
#include "common/sys_error.hpp"
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
    for (const Listener& listener : listeners) lines += to_string(listener.local) + '\n';
    for (std::string_view rest = lines; !rest.empty();) {
        const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
        if (written == -1 && errno == EINTR) continue;
        if (written == -1 && errno == EPIPE) return;  // nobody wants to know any more
        if (written <= 0)
            return log(LogLevel::Error, "--ready-fd could not be written", {{"cause", std::strerror(errno)}});
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace preforkd
