#include "common/process/stop_request.hpp"

#include <poll.h>
#include <sys/signalfd.h>

#include <csignal>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

bool stop_requested_within(std::chrono::milliseconds patience) {
    sigset_t stops{};
    ::sigemptyset(&stops);
    for (const int signo : {SIGTERM, SIGINT, SIGQUIT}) ::sigaddset(&stops, signo);
    // Readable while one of them is pending, and nothing is consumed until somebody reads.  Source: signalfd(2).
    const UniqueFd pending{check(::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")};
    pollfd watched{.fd = pending.get(), .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, static_cast<int>(patience.count())) == 1;
}

}  // namespace preforkd
