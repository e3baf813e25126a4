#pragma once
// How programs are run that accept by themselves: N copies, each of which is a worker.  Pure data.
#include <chrono>
#include <optional>

namespace preforkd {

/// How programs are run.
enum class RunMode {
    Client,  ///< one for each client
    Pool,    ///< each worker is one copy, which accepts by itself
};

/// How a copy is given the listening sockets.
enum class PassStyle {
    Listen,   ///< from descriptor 3, told as systemd does: LISTEN_FDS
    Fd0,      ///< one, as its standard input: FastCGI, inetd's `wait`
    Starter,  ///< told as Server::Starter does: SERVER_STARTER_PORT
    Einhorn,  ///< told as einhorn does: EINHORN_FD_0
};

/// When a copy counts as ready.
struct ReadyCheck {
    enum class Kind {
        Alive,   ///< it has lived for `alive_for`
        Notify,  ///< it has said READY=1, as sd_notify(3) does
        Fd,      ///< it has written to the descriptor `fd`, or closed it
    } kind = Kind::Alive;
    std::chrono::milliseconds alive_for{1000};
    int fd = 0;
    friend bool operator==(const ReadyCheck&, const ReadyCheck&) = default;
};

/// What an endpoint says of that itself.  Unset: as the daemon's options say.
struct CopySettings {
    std::optional<RunMode> run{};
    std::optional<PassStyle> pass{};
    std::optional<ReadyCheck> ready{};
    std::optional<int> stop_signal{};  ///< for a program with inetd=wait, too
    friend bool operator==(const CopySettings&, const CopySettings&) = default;
};

}  // namespace preforkd
