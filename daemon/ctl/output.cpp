#include "daemon/ctl/output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"

namespace preforkd {

void print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) throw_errno("write standard output");
}

std::string harmless(const std::string& text, bool json) { return json ? printable_json(text) : printable_lines(text); }

std::size_t terminal_columns() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace preforkd
