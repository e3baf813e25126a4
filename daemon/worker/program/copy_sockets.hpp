#pragma once
// What a copy of a program that accepts by itself is told of the listening sockets that it gets.  Pure.
#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/config/settings.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// One of them; the first is descriptor first_copy_socket, the next the one behind it.
struct CopySocket {
    Endpoint local{};    ///< where it is
    std::string name{};  ///< what systemd calls it; else the port, or the name of the socket file
};

/// Source: SD_LISTEN_FDS_START, sd_listen_fds(3).
inline constexpr int first_copy_socket = 3;

/// What --pass and the `{fd}` of `arguments` cannot give of `sockets`, in a sentence; nullopt: nothing.
///
/// A socket without a reader would be one whose clients wait for ever, so `{fd}`, where there is one, has to reach all.
[[nodiscard]] std::optional<std::string> why_not_passed(PassStyle pass, std::span<const std::string> arguments,
                                                        std::span<const CopySocket> sockets);

/// `arguments` with numbers for `{fd}`, the first socket, and `{fd:NAME}`.
[[nodiscard]] std::vector<std::string> with_descriptors(std::span<const std::string> arguments,
                                                        std::span<const CopySocket> sockets);

/// Whose child the copy is.
struct CopyParent {
    pid_t pid = 0;
    int generation = 1;
};

/// NAME=VALUE each:
///
///   listen   LISTEN_FDS LISTEN_FDNAMES; LISTEN_PID, the copy's own pid, is for who forks it.  Source: sd_listen_fds(3)
///   fd0      nothing
///   starter  SERVER_STARTER_PORT=127.0.0.1:80=3;/run/x.sock=4 SERVER_STARTER_GENERATION.  Source: Server::Starter(3pm)
///   einhorn  EINHORN_FD_COUNT EINHORN_FD_0 EINHORN_MASTER_PID, by which its library knows that it is a worker.
///            EINHORN_SOCK_PATH is not set: there is nobody to acknowledge anything to.  Source: einhorn/worker.rb
[[nodiscard]] std::vector<std::string> variables_of(PassStyle pass, std::span<const CopySocket> sockets,
                                                    const CopyParent& parent);

}  // namespace preforkd
