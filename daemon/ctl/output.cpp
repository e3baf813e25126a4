#include "daemon/ctl/output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "common/base/sys_error.hpp"

namespace preforkd {

void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) throw_errno("write standard output");
}

std::size_t terminal_columns() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace preforkd
