#include "common/process/isolation.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/process_title.hpp"

namespace preforkd {

void leave_terminal() {
    check(::setsid(), "make a session");
    const UniqueFd null{check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null")};
    check(::dup2(null.get(), STDIN_FILENO), "redirect standard input");
}

void discard_standard_output() {
    const UniqueFd null{check(::open("/dev/null", O_WRONLY | O_CLOEXEC), "open /dev/null")};
    check(::dup2(null.get(), STDOUT_FILENO), "redirect standard output");
}

void name_process(std::string_view what, std::string_view title) {
    constexpr std::size_t longest = 15;
    const std::string program = program_invocation_short_name;
    ::prctl(PR_SET_NAME, program.substr(0, longest - what.size()).append(what).c_str());
    set_process_title(title);
}

void allow_tracing([[maybe_unused]] bool allowed) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    check(::prctl(PR_SET_DUMPABLE, allowed ? 1 : 0, 0, 0, 0), "set whether this process may be traced");
#endif
}

}  // namespace preforkd
