#pragma once
// Between workers, which log, and the process that writes their lines into the log's file: what a worker holds is the
// end of a pipe, with which it can write, and can neither read, shorten nor rewrite what is in the file.
//
// One pipe for all.  A pipe for each worker would also show who writes a line, so that none could be forged in another
// worker's name, at the price of a descriptor in two processes and of memory that is not swapped for each; there is a
// limit to that (pipe-user-pages-soft, 64 MiB), beyond which a pipe holds two lines.  Source: pipe(7).
#include <csignal>

#include "common/base/unique_fd.hpp"

namespace preforkd {

struct LogPipe {
    UniqueFd reader{};  ///< non-blocking
    UniqueFd writer{};  ///< blocks; a worker opens its own description of it, see log_into_pipe()
};

/// As large as the kernel allows, up to 1 MiB.  Throws std::system_error.
[[nodiscard]] LogPipe open_log_pipe();

/// Nobody shall open the end of the pipe that he has again, through /proc, to read what others have written: the mode
/// of the pipe lets its owner write only.  Where a worker is another user than the master it is none of his at all. Who
/// may change the mode of his own files, or read whatever there is (CAP_DAC_OVERRIDE), is not kept out.
void keep_readers_out(int pipe) noexcept;

/// Asks the process in write_log_of() to leave: another one reads the pipe.  Nobody sends this by accident.
inline constexpr int stop_writing_signal = SIGIO;

/// Writes the lines that come out of `reader` into this process's log, until nobody can write into the pipe any more,
/// or until it is asked to leave: then what it has read is written.  Blocks every other signal.
void write_log_of(int reader);

}  // namespace preforkd
