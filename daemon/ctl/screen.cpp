#include "daemon/ctl/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "common/base/sys_error.hpp"
#include "common/base/write_all.hpp"
#include "daemon/ctl/output.hpp"

namespace preforkd {
namespace {

// Source: ctlseqs(7): the alternate screen, the cursor, no wrapping of lines that are too long.
constexpr std::string_view entering = "\033[?1049h\033[?25l\033[?7l\033[2J";
constexpr std::string_view leaving = "\033[?7h\033[?25h\033[?1049l";
constexpr std::string_view title_begins = "\033[7m";
constexpr std::string_view title_ends = "\033[27m";

}  // namespace

Screen::Screen() {
    if (termios attributes{}; ::tcgetattr(STDIN_FILENO, &attributes) == 0) usual_ = attributes;
    enter();
}

Screen::~Screen() { leave(); }

void Screen::enter() const {
    if (usual_) {
        termios attributes = *usual_;
        attributes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        attributes.c_cc[VMIN] = 1;
        attributes.c_cc[VTIME] = 0;
        check(::tcsetattr(STDIN_FILENO, TCSADRAIN, &attributes), "set the terminal");
    }
    (void)write_all(STDOUT_FILENO, entering);
}

void Screen::leave() const noexcept {
    (void)write_all(STDOUT_FILENO, leaving);
    // What was typed meanwhile was for this program.
    if (usual_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &*usual_);
}

void Screen::paint(const std::vector<FrameLine>& frame) const {
    std::string text = "\033[H";
    for (const FrameLine& line : frame) {
        if (&line != &frame.front()) text += '\n';
        if (line.is_title) text += title_begins;
        text += line.text;
        if (line.is_title) text += title_ends;
        text += "\033[K";
    }
    // Of the lines below the last one; behind a full screen it would take the last character.
    if (frame.size() < size().rows) text += "\n\033[J";
    if (!write_all(STDOUT_FILENO, text)) throw_errno("write standard output");
}

ScreenSize Screen::size() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_col == 0 || size.ws_row == 0)
        return {.columns = 80, .rows = 24};
    return {.columns = size.ws_col, .rows = size.ws_row};
}

}  // namespace preforkd
