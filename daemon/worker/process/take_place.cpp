#include "daemon/worker/process/take_place.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "common/base/sys_error.hpp"
#include "common/process/isolation.hpp"
#include "common/process/sandbox.hpp"

namespace preforkd {

void take_place(const Settings& settings, const WorkerUser& user, const Sandbox& sandbox) {
    user.change != nullptr ? user.change->make() : assume(user.identity);
    allow_tracing(settings.core_dumps);  // a change of user has forbidden it
    if (!settings.chdir.empty()) check(::chdir(settings.chdir.c_str()), "--chdir " + settings.chdir);
    if (settings.umask) ::umask(static_cast<mode_t>(*settings.umask));
    // A copy of a program puts it on by itself: this process has to see in /proc what the copy has started.
    if (!runs_copies(settings)) sandbox.put_on();
}

}  // namespace preforkd
