#pragma once

namespace preforkd {

/// From now on what a handler forks inherits neither what this process blocks nor what it ignores, SIGPIPE excepted,
/// which a copy that goes on serving must not die of.  What posix_spawn(3), and so system(3), starts is not reached: it
/// runs no function at a fork.  Source: pthread_atfork(3), signal(7).
void give_children_ordinary_signals();

/// The same where handlers run in children of this process: these are left as they are.  Said once, here, since to
/// say it costs each child two pages.
void give_grandchildren_ordinary_signals();

}  // namespace preforkd
