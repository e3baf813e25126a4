#pragma once
// preforkctl status, ready, workers, reload, upgrade, stop, deaths, sources, explain, top: what goes over the daemon's
// control socket.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/control/control_protocol.hpp"
#include "daemon/ctl/find_daemons.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

struct ControlOrder {
    ControlRequest request{};
    std::optional<Endpoint> control{};         ///< --control; unset: where the environment says
    std::optional<std::string> instance{};     ///< --instance: one of those that find_daemons() finds
    std::chrono::milliseconds timeout{5000};   ///< for each answer; zero: for ever
    bool json = false;                         ///< status, deaths, sources: print it as it came; explain: as JSON
    bool watch = false;                        ///< status: again and again, until interrupted
    std::chrono::milliseconds interval{1000};  ///< from one look to the next
    bool batch = false;                        ///< top: print, instead of having the screen
    std::optional<std::uint64_t> looks{};      ///< top: so many; unset: until interrupted
};

/// --control, else PREFORKD_CONTROL, else control.sock in RUNTIME_DIRECTORY; nullopt: it has to be found.
/// Throws std::invalid_argument.
[[nodiscard]] std::optional<Endpoint> control_of(const ControlOrder& order, const char* from_environment,
                                                 const char* runtime_directory);

/// Those that it may be meant for: what control_of() says, else all that are found.  Throws as both do.
[[nodiscard]] std::vector<FoundDaemon> daemons_of(const ControlOrder& order);

/// Asks, and prints the answer.  Throws std::runtime_error with the daemon's own sentence when it refuses or fails,
/// or with ours when there is no answer.
void control(const ControlOrder& order);

}  // namespace preforkd
