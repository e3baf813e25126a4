#pragma once
// What keeps a process apart from its terminal, its parent, and others of its user.
#include <string_view>

namespace preforkd {

/// Begins a session and a process group of its own, and reads standard input as /dev/null: Ctrl-C in the terminal does
/// not reach it, it cannot type into the terminal (TIOCSTI), and what it starts is found by its group.
/// Must not lead a process group.  Source: setsid(2).
void leave_terminal();

/// From now on what is printed goes nowhere: not into what the parent's standard output is.
void discard_standard_output();

/// As ps(1) and top(1) show it: in short the program's name and `what`, of which nothing is cut: `preforkd-log`, of a
/// program of one's own `upper-log`; in full set_process_title(`title`).  Source: PR_SET_NAME, prctl(2).
void name_process(std::string_view what, std::string_view title);

/// Whether other processes of this process's user may trace it, read its memory and open its descriptors, and the
/// kernel may write a core dump of it.  Holds until the next exec or change of user, and for children.  Left alone in a
/// build with sanitizers, which trace themselves.  Source: PR_SET_DUMPABLE, prctl(2); proc(5).
void allow_tracing(bool allowed);

}  // namespace preforkd
