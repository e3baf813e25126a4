#pragma once
// libsystemd, which is opened where systemd has left word for us, asked, and closed again.
//
// Linked, it would add 36 mappings to the master and to each of its children, and a third to the cost of a fork.  So it
// is there for a moment at start-up: no process of ours forks, serves or reloads with it.  What is said to systemd
// later (systemd_notify.cpp) and to its journal (common/log/log_sink.cpp) must not wait, and has a datagram of its own.
#include <systemd/sd-daemon.h>

#include <optional>

#include "common/base/loaded_library.hpp"

namespace preforkd {

class Libsystemd {
public:
    /// Throws OperatorError (71) when it cannot be loaded.
    Libsystemd();

    // Source: sd-daemon(3).
    decltype(&::sd_listen_fds_with_names) listen_fds_with_names{};
    decltype(&::sd_is_socket) is_socket{};
    decltype(&::sd_is_socket_inet) is_socket_inet{};
    decltype(&::sd_is_socket_unix) is_socket_unix{};
    decltype(&::sd_watchdog_enabled) watchdog_enabled{};

private:
    std::optional<LoadedLibrary> library_{};
};

}  // namespace preforkd
