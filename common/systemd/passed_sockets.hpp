#pragma once
// Sockets passed by systemd: the protocol of sd_listen_fds_with_names(3).
#include <string>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/systemd/libsystemd.hpp"

namespace preforkd {

struct PassedSocket {
    UniqueFd fd{};           ///< close-on-exec
    std::string name{};      ///< from LISTEN_FDNAMES; `unknown` if there is none
    bool is_in_use = false;  ///< by this daemon, which has made it non-blocking or left it to programs
    std::string flaw{};      ///< why it cannot be served: `is not a socket: ...`; empty: it can
};

/// Notes which of the descriptors that LISTEN_FDS promises are open.  Call it before anything is opened: what comes
/// later, such as the log's, must not be taken for one that was passed.
void note_passed_descriptors() noexcept;

/// Why `fd` cannot be served, as a predicate with its remedy; empty if it can.  What it is matters, what port it has
/// does not: that is the .socket unit's business.
[[nodiscard]] std::string flaw_of(const Libsystemd& systemd, int fd);

/// Takes what systemd passed, and the variables out of the environment.  Empty when nothing was passed.
/// Throws OperatorError (71) without libsystemd, and (78) when LISTEN_PID is not this process: the sockets were meant
/// for another, and binding the same address beside them would fail or split the clients; and when the variables
/// contradict what is open.
[[nodiscard]] std::vector<PassedSocket> take_passed_sockets();

}  // namespace preforkd
