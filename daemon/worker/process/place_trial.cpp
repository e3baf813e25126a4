#include "daemon/worker/process/place_trial.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/process/child_process.hpp"
#include "common/process/spawn.hpp"

namespace preforkd {

namespace {

/// In the child: 0, or the errno of chdir(2).
int enter(const Settings& settings, const Identity& identity) {
    try {
        assume(identity);
    } catch (const std::exception&) { return 0; }  // a worker will tell
    return ::chdir(settings.chdir.c_str()) == 0 ? 0 : errno;
}

}  // namespace

void try_directory(const Settings& settings, const Identity& identity) {
    if (settings.chdir.empty()) return;
    const ChildProcess child = spawn([&] { return enter(settings, identity); });
    siginfo_t end{};
    while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd()), &end, WEXITED) == -1)
        if (errno != EINTR) throw_errno("wait for the trial of --chdir");
    if (end.si_code != CLD_EXITED || end.si_status == 0) return;
    throw OperatorError{
        ExitCode::Configuration,
        fmt::format("--chdir {}: {}{}; let them enter it, or name another", printable(settings.chdir),
                    std::strerror(end.si_status),
                    settings.user.empty() ? " for workers" : " for workers of --user " + printable(settings.user))};
}

}  // namespace preforkd
