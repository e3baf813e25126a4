#include "common/ready_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "common/operator_error.hpp"

namespace preforkd {

UniqueFd take_ready_fd(std::optional<int> number) {
    if (!number) return {};
    if (::fcntl(*number, F_SETFD, FD_CLOEXEC) == -1)
        throw OperatorError{ExitCode::Usage,
                            "--ready-fd " + std::to_string(*number) +
                                ": this descriptor is not open; pass one, as in `--ready-fd 3 3>file`"};
    return UniqueFd{*number};
}

void announce_ready(UniqueFd fd, const std::vector<Listener>& listeners) noexcept {
    if (!fd) return;
    std::string lines;
    for (const Listener& listener : listeners) lines += to_string(listener.local) + '\n';
    for (std::string_view rest = lines; !rest.empty();) {
        const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
        if (written <= 0) return;
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace preforkd
