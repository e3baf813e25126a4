#pragma once
// What `preforkctl status` tells: plain values, and their way to JSON and back.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/control/service_counts.hpp"
#include "common/process/process_use.hpp"

namespace preforkd {

/// How many wait in a socket's queue, and how many can.
struct QueueDepth {
    std::optional<std::uint64_t> queued{};  ///< unset where the kernel does not tell this process
    std::optional<std::uint64_t> limit{};
    bool in_bytes = false;  ///< datagrams: bytes of the receive buffer, else connections
};

/// How many clients a listener may have; unset: as many as come.
struct LimitedClients {
    std::optional<std::uint64_t> max{};         ///< max=
    std::optional<std::uint64_t> clients{};     ///< of these there are now
    std::optional<std::uint64_t> per_source{};  ///< per-source=
    std::optional<std::uint64_t> rate{};        ///< rate=, replies-per-source=
    friend bool operator==(const LimitedClients&, const LimitedClients&) = default;
};

/// Clients that a listener has refused since it was bound, by the reason.
struct RefusedClients {
    std::uint64_t denied = 0;      ///< allow=, deny=
    std::uint64_t per_source = 0;  ///< per-source=
    std::uint64_t rate = 0;        ///< rate=
};

/// The program that gets the socket itself, inetd=wait.
struct ProgramStarts {
    std::uint64_t starts = 0;  ///< ever
    std::chrono::milliseconds
        pause{};  ///< before the next one, where it leaves whom it was started for; 0: it does not
    friend bool operator==(const ProgramStarts&, const ProgramStarts&) = default;
};

struct ListenerStatus {
    std::string endpoint{};
    std::string handler{};                                ///< or the program behind `--`
    bool passed = false;                                  ///< by systemd
    bool lost = false;                                    ///< its file was removed or replaced: no client finds it
    QueueDepth queue{};                                   ///< of all that it has
    std::uint64_t queues = 1;                             ///< sockets at its address: queues=
    std::optional<std::int64_t> certificate_expires_s{};  ///< since 1970; TLS: of its certificates the first to expire
    std::optional<LimitedClients> limits{};               ///< unset: none
    std::optional<RefusedClients> refused{};              ///< unset: it has never refused anybody, and does not
    std::optional<ProgramStarts> program{};               ///< unset: it is not inetd=wait
    std::optional<ListenerCounts> counts{};               ///< unset: it has none of its own, being one of too many
    bool counts_traffic = true;                           ///< else bytes are not seen
    std::uint64_t connections = 0;                        ///< open now
    std::uint64_t most_connections = 0;      ///< the sum of the most that each worker had open in the last minute
    std::optional<std::uint64_t> dropped{};  ///< by the kernel, since the socket was made; unset: not counted
};

struct WorkerStatus {
    int number = 0;
    int pid = 0;
    std::optional<std::uint64_t> program_pid{};  ///< of --run pool: the copy that it is, whose use is `used`
    std::optional<std::uint64_t> generation{};
    std::string service{};  ///< the endpoint that has it for itself; empty: it serves those that have none
    /// starting, idle, busy, waiting, retiring, leaving, hung, stopped; of a copy that runs: running
    std::string state{};
    std::chrono::milliseconds since{};  ///< in this state, without a sign of life
    std::chrono::milliseconds age{};
    std::optional<std::chrono::milliseconds> leaving_for{};  ///< since it was told to; unset: it was not
    std::uint64_t connections = 0;                           ///< open now
    std::optional<std::uint64_t> connection_slots{};         ///< that it can have open; unset: it does not say
    std::uint64_t accepted = 0;                              ///< ever
    std::uint64_t served = 0;                                ///< ended
    std::optional<std::uint64_t> received_bytes{};           ///< by handlers, ever; unset: it does not see them
    std::optional<std::uint64_t> sent_bytes{};
    std::string last_error{};  ///< of a copy: the last line that it has printed
    std::string last_peer{};
    std::string program_status{};  ///< of a copy: what it says of itself, STATUS= of sd_notify(3)
    ProcessUse used{};             ///< now; what is not known is unset
};

/// The process that has the private keys of listeners with key-process=yes.
struct KeyProcessStatus {
    int pid = 0;                ///< 0: there is none that signs, and handshakes fail
    std::uint64_t user = 0;     ///< as whom it runs
    bool has_own_user = false;  ///< which nobody else has; else its master's
};

struct StatusReport {
    std::string version{};
    int pid = 0;
    std::string phase{};  ///< starting, running, withdrawing, draining, killing
    std::chrono::milliseconds uptime{};
    std::int64_t started_s = 0;  ///< since 1970
    std::uint64_t generation = 1;
    int workers_wanted = 0;
    int workers_min = 0;  ///< of --workers, whatever was ordered while it ran
    int workers_max = 0;
    std::string model{};                 ///< how each worker serves its connections; pool: it is a copy of a program
    int processors = 0;                  ///< that it may use; 0: it does not say
    std::uint64_t connection_slots = 0;  ///< connections that its workers can have open at once
    std::uint64_t connection_slots_asked = 0;  ///< for how many --connections asks; more than open files allow, maybe
    std::uint64_t connections = 0;             ///< open now
    std::uint64_t accepted = 0;                ///< ever, by dead workers too
    std::uint64_t served = 0;
    std::optional<std::uint64_t> received_bytes{};  ///< by dead workers too; unset: nobody has ever seen any
    std::optional<std::uint64_t> sent_bytes{};
    std::uint64_t replaced = 0;  ///< workers that died and were replaced
    std::uint64_t dropped_log_lines = 0;
    std::string reload_failure{};  ///< why the last reload changed nothing; empty: it did, or there was none
    std::optional<KeyProcessStatus> key_process{};  ///< unset: none is wanted
    std::vector<ListenerStatus> listeners{};
    std::optional<ListenerStatus> other_listeners{};  ///< what is counted of those without counts of their own
    std::vector<WorkerStatus> workers{};
    ServiceCounts counts{};
};

/// Whether workers count their clients: copies of a program accept by themselves.
[[nodiscard]] inline bool counts_clients(const StatusReport& report) noexcept { return report.model != "pool"; }

/// Whether some endpoint has workers of its own.
[[nodiscard]] inline bool have_services(const StatusReport& report) noexcept {
    return std::ranges::any_of(report.workers, [](const WorkerStatus& each) { return !each.service.empty(); });
}

[[nodiscard]] std::string to_json(const StatusReport& report);

/// What a daemon of another version does not say, or says besides, is left out.  Throws std::runtime_error for what is
/// no JSON.
[[nodiscard]] StatusReport parse_status(std::string_view json);

}  // namespace preforkd
