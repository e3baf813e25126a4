#pragma once
// What the workers that were started together have in common.
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/channel/observer_handoff.hpp"
#include "common/channel/worker_handoff.hpp"
#include "common/config/settings.hpp"
#include "common/net/listener.hpp"
#include "daemon/master/pool/size_policy.hpp"

namespace preforkd {

class KeyProcess;

struct PoolSettings {
    int workers = 1;                    ///< wanted now
    std::optional<int> ordered{};       ///< asked for while it ran, see ordered_size.hpp; unset: as the settings say
    std::optional<SizeLimits> range{};  ///< within which that follows the demand; unset: it does not
    std::size_t connections = 1;        ///< at once per worker
    std::size_t connections_asked = 1;  ///< of which those are what open files allow
    Model model{};                      ///< how each serves them
    bool runs_copies = false;           ///< each is a copy of a program, which accepts by itself
    bool runs_programs = false;         ///< each serves clients by programs, or is a copy of one
    // Zero means never.
    std::chrono::milliseconds boot_timeout{};
    std::chrono::milliseconds stop_timeout{};
    std::chrono::milliseconds worker_timeout{};
    std::optional<std::chrono::milliseconds> reload_timeout{};  ///< unset: reload_time() says
};

/// What its workers share with each other, as its handlers have said.
struct SharedUse {
    bool memory = false;
    bool bus = false;
    uid_t user = 0;  ///< that they are: with another one's nothing is shared
};

/// The most workers that a pool can have; there are records for three times as many.
inline constexpr int most_workers = 1024;
inline constexpr std::size_t most_records = 3 * std::size_t{most_workers};

/// One generation: workers with the same settings, sockets and code.  A reload starts the next one.
struct Generation {
    int number = 1;
    PoolSettings pool{};
    std::shared_ptr<const Settings> settings = std::make_shared<const Settings>();
    /// The master's copies of the sockets, in the order that the workers know them by.  Sockets that another generation
    /// has too are duplicates of one description, so that both share one queue.  Never null.
    std::shared_ptr<std::vector<Listener>> listeners = std::make_shared<std::vector<Listener>>();
    /// What the process that observes listens at.  Never null.
    std::shared_ptr<std::vector<Listener>> observed = std::make_shared<std::vector<Listener>>();
    bool binds_again = false;                  ///< made for what had lost its file or was shut down: no reload
    std::optional<std::string> config_text{};  ///< what the file said that -C names
    std::vector<std::string> remarks{};        ///< what of its settings does not hold, a sentence each with the remedy
    SharedUse shared{};
    std::shared_ptr<KeyProcess> keys{};  ///< that has its private keys, and is ready; null: its workers have them
    WorkerMain body{};                   ///< what its workers run; empty if their code is gone: then none can be forked
    ObserverMain observe{};              ///< what the process runs that observes
};

}  // namespace preforkd
