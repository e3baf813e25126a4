#pragma once
// What the workers that were started together have in common.
#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/channel/observer_handoff.hpp"
#include "common/channel/worker_handoff.hpp"
#include "common/config/settings.hpp"
#include "common/net/listener.hpp"
#include "daemon/master/pool/size_policy.hpp"

namespace preforkd {

class KeyProcess;

/// What workers share with each other, as their handlers have said.
struct SharedUse {
    bool memory = false;
    bool bus = false;
    uid_t user = 0;  ///< that they are: with another one's nothing is shared
};

/// A part of a pool: workers that have listeners of their own.
struct ServiceSettings {
    std::string name{};  ///< its endpoint; empty: what others have not
    int workers = 1;
    std::size_t connections = 1;        ///< as in PoolSettings
    std::size_t connections_asked = 1;  ///< likewise
    bool runs_programs = false;         ///< likewise
    bool runs_copies = false;           ///< likewise
    SharedUse shared{};                 ///< likewise
};

struct PoolSettings {
    int workers = 1;                    ///< wanted now
    std::optional<int> ordered{};       ///< asked for while it ran, see ordered_size.hpp; unset: as the settings say
    std::optional<SizeLimits> range{};  ///< within which that follows the demand; unset: it does not
    std::size_t connections = 1;        ///< at once per worker
    std::size_t connections_asked = 1;  ///< of which those are what open files allow
    Model model{};                      ///< how each serves them
    bool runs_copies = false;           ///< each is a copy of a program, which accepts by itself
    bool runs_programs = false;         ///< each serves clients by programs, or is a copy of one
    SharedUse shared{};                 ///< what its workers have in common
    std::vector<ServiceSettings> services{};  ///< of which each has some of `workers`; empty: all serve all
    // Zero means never.
    std::chrono::milliseconds boot_timeout{};
    std::chrono::milliseconds stop_timeout{};
    std::chrono::milliseconds worker_timeout{};
    std::optional<std::chrono::milliseconds> reload_timeout{};  ///< unset: reload_time() says
};

/// How many services it has: one, where all serve all.
[[nodiscard]] inline std::size_t count_services(const PoolSettings& pool) noexcept {
    return std::max<std::size_t>(pool.services.size(), 1);
}

/// What holds for the workers of one.
[[nodiscard]] inline ServiceSettings service_at(const PoolSettings& pool, std::size_t index) {
    if (!pool.services.empty()) return pool.services.at(index);
    return {.workers = pool.workers,
            .connections = pool.connections,
            .connections_asked = pool.connections_asked,
            .runs_programs = pool.runs_programs,
            .runs_copies = pool.runs_copies,
            .shared = pool.shared};
}

/// Which one has that name.
[[nodiscard]] inline std::optional<std::size_t> find_service(const PoolSettings& pool, std::string_view name) {
    for (std::size_t index = 0; index < count_services(pool); ++index)
        if (service_at(pool, index).name == name) return index;
    return std::nullopt;
}

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
    std::shared_ptr<KeyProcess> keys{};        ///< that has its private keys, and is ready; null: its workers have them
    WorkerMain body{};       ///< what its workers run; empty if their code is gone: then none can be forked
    ObserverMain observe{};  ///< what the process runs that observes
};

}  // namespace preforkd
