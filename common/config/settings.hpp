#pragma once
// What the operator asked for, once read and checked.  Pure data.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/internet_host.hpp"
#include "common/config/access.hpp"
#include "common/config/copy_settings.hpp"
#include "common/config/forward_settings.hpp"
#include "common/config/log_connections.hpp"
#include "common/config/tls_settings.hpp"
#include "common/log/log_output.hpp"
#include "common/process/run_as.hpp"
#include "common/process/sandbox_policy.hpp"
#include "preforkd/endpoint.hpp"
#include "preforkd/model.hpp"

namespace preforkd {

/// Who speaks for other clients, and has to: the PROXY protocol.
struct ProxySenders {
    bool local = false;                  ///< whoever is connected to a Unix socket
    std::vector<HostPrefix> prefixes{};  ///< tcp
    friend bool operator==(const ProxySenders&, const ProxySenders&) = default;
};

/// How many bits of an address make a source.
struct SourcePrefix {
    int ipv4_bits = 32;
    int ipv6_bits = 64;
    friend bool operator==(const SourcePrefix&, const SourcePrefix&) = default;
};

/// How many clients a listener takes, over all workers.  A datagram is one until its handler has returned.
struct ClientLimits {
    std::optional<std::uint32_t> per_source{};    ///< of one source at once
    std::optional<std::uint32_t> rate{};          ///< new ones of one source a second; zero `off`
    std::optional<SourcePrefix> source_prefix{};  ///< what a source is; unset: the default
    std::optional<std::uint32_t> max{};           ///< at once; more wait in the queue
    std::string refuse_with{};  ///< stream: what a client is told that is refused; empty: nothing, a reset
    friend bool operator==(const ClientLimits&, const ClientLimits&) = default;
};

/// Whom a listener is for.
enum class Serves {
    Clients,    ///< --listen: workers accept them
    Observers,  ///< --observe: over HTTP, the process that observes does
    Agents,     ///< --agent: likewise, balancers that ask how much to send
};

/// One --listen: an endpoint and the settings behind it.  Unset means: the daemon-wide setting or the kernel's default.
struct ListenSettings {
    Endpoint endpoint{};
    std::string handler{};                              ///< empty: --handler
    std::vector<std::string> program{};                 ///< likewise, PROGRAM ARG...; empty: --program
    std::optional<int> backlog{};                       ///< connections the kernel queues
    std::optional<int> queues{};                        ///< tcp: sockets at its address; unset: one, 0: as many as CPUs
    std::optional<unsigned> mode{};                     ///< unix: permission bits of the socket file
    std::string user{};                                 ///< unix: its owner, name or number
    std::string group{};                                ///< unix: its group, name or number
    std::optional<bool> v6only{};                       ///< tcp, udp
    bool nodelay = true;                                ///< tcp: TCP_NODELAY
    bool keepalive = false;                             ///< tcp: SO_KEEPALIVE
    std::optional<std::uint64_t> rcvbuf_bytes{};        ///< udp, unixgram: SO_RCVBUF
    std::optional<std::chrono::milliseconds> linger{};  ///< stream: how long to wait for the client's end after ours;
                                                        ///< unset 2 s, zero `off`
    std::optional<std::uint32_t> replies_per_source{};  ///< udp: a second; unset: the handler's own, zero `off`
    std::optional<bool> amplify{};                      ///< udp: whether a reply may be longer than its request
    std::optional<ProxySenders> proxy{};                ///< who has to announce its clients
    std::optional<std::chrono::milliseconds> proxy_timeout{};  ///< stream: for that; unset 3 s
    AccessList allow{};                                        ///< who may be a client
    AccessList deny{};                                         ///< and who may not
    std::optional<TlsSettings> tls{};                          ///< stream: what tls:// brings along
    ClientLimits limits{};
    ForwardSettings forward{};                        ///< of the handler `forward`
    std::optional<LogConnections> log_connections{};  ///< instead of the daemon's
    RunAs run_as{};                                   ///< its programs, or its own workers
    std::optional<int> workers{};      ///< of its own, which serve it alone; unset: as many as --workers says
    std::optional<Model> model{};      ///< how these run it, instead of --model
    std::optional<int> connections{};  ///< at once for each of them, instead of --connections
    CopySettings copies{};             ///< its programs, if they accept by themselves
    bool inetd_wait = false;           ///< a program gets the socket itself, and nobody accepts for it
    Serves serves = Serves::Clients;   ///< which option asked for it

    friend bool operator==(const ListenSettings&, const ListenSettings&) = default;
};

/// How many workers.  Both 0 for `--workers 0`; min == max for a fixed number; `automatic`: usable CPUs, decided later.
struct WorkerCount {
    bool automatic = true;
    int min = 0;
    int max = 0;
    friend bool operator==(const WorkerCount&, const WorkerCount&) = default;
};

[[nodiscard]] constexpr bool is_range(const WorkerCount& workers) noexcept {
    return !workers.automatic && workers.min != workers.max;
}

/// How many workers with capacity for another client a pool that resizes itself keeps.
struct SpareCount {
    int min = 1;
    int max = 1;
    friend bool operator==(const SpareCount&, const SpareCount&) = default;
};

/// How a reload exchanges the workers.
enum class ReloadMode {
    Generation,  ///< all new ones beside the old ones, which leave when those are ready
    Rolling,     ///< one after the other
};

struct Settings {
    std::vector<ListenSettings> listen{};  ///< never empty once read: the default is tcp://:10000
    bool listen_is_default = true;         ///< nobody said --listen; sockets from systemd then replace the default
    std::string handler = "greet";
    WorkerCount workers{};
    std::optional<SpareCount> spare{};  ///< unset: from 1 to the smaller of --workers MIN..MAX
    std::optional<Model> model{};       ///< unset: the handler's own
    ReloadMode reload = ReloadMode::Generation;
    std::optional<int> connections{};  ///< at once per worker; unset: the model's
    std::optional<int> backlog{};      ///< unset: min(4096, somaxconn)
    // Zero means never.
    std::chrono::milliseconds idle_timeout{60'000};
    std::chrono::milliseconds drain_delay{0};  ///< zero: none
    std::chrono::milliseconds stop_timeout{30'000};
    std::optional<std::chrono::milliseconds> reload_timeout{};  ///< unset: see the options' table
    std::chrono::milliseconds boot_timeout{30'000};
    std::chrono::milliseconds worker_timeout{60'000};
    std::chrono::milliseconds request_timeout{0};
    std::optional<int> ready_fd{};
    std::string control{};          ///< an endpoint, or `off`; empty: where the surroundings say (control_endpoint.hpp)
    std::string name = "preforkd";  ///< of the control socket, where nothing says its path
    // 0: a worker never retires.
    std::uint64_t max_requests = 0;
    std::uint64_t max_memory_bytes = 0;
    std::uint64_t line_max_bytes = std::uint64_t{1} << 20;  ///< of what a blocking handler reads; 0: any length
    std::optional<ListenSettings> observe{};                ///< metrics, health and a page over HTTP
    std::optional<ListenSettings> agent{};                  ///< HAProxy's agent-check
    bool observe_details = false;                           ///< peers and error texts, too
    std::string user{};
    std::string group{};
    bool core_dumps = false;
    bool leave_orphans = false;
    SandboxMode sandbox = SandboxMode::Auto;
    bool sandbox_programs = false;          ///< programs behind `--` too
    std::vector<std::string> allow_read{};  ///< strict: files and directories, as they were typed
    std::vector<std::string> allow_write{};
    std::string chdir{};
    std::optional<unsigned> umask{};
    std::string greeting = "connected";
    std::map<std::string, std::string, std::less<>> own{};  ///< options that handlers have declared, as given
    std::vector<ForwardTarget> to{};                        ///< of listeners that say none themselves
    LogSettings log{};
    LogConnections log_connections = LogConnections::Begin;
    std::uint32_t stderr_rate = 1000;    ///< lines a second of a worker's programs; 0: no limit
    std::vector<std::string> program{};  ///< behind `--`, or --program: PROGRAM ARG...; empty: a handler serves
    RunMode run = RunMode::Client;
    // Of RunMode::Pool alone.
    PassStyle pass = PassStyle::Listen;
    ReadyCheck ready{};
    int stop_signal = 15;                ///< what asks a copy to end: SIGTERM
    std::optional<int> reload_signal{};  ///< what has it read its own settings anew; unset: it cannot
};

/// Whether its workers, but those that endpoints have of their own, are copies of a program that accepts by itself.
[[nodiscard]] inline bool runs_copies(const Settings& settings) noexcept { return settings.run == RunMode::Pool; }

/// How the program of `listener` is run: as it says, or the daemon; a handler of its own is none.
[[nodiscard]] inline RunMode run_mode_of(const ListenSettings& listener, const Settings& settings) noexcept {
    return listener.copies.run.value_or(listener.handler.empty() ? settings.run : RunMode::Client);
}

/// Whether programs get the socket of `listener` as it is, and accept by themselves.
[[nodiscard]] inline bool passes_socket(const ListenSettings& listener, const Settings& settings) noexcept {
    return run_mode_of(listener, settings) == RunMode::Pool || listener.inetd_wait;
}

/// What asks a program of `listener` to end that accepts by itself.
[[nodiscard]] inline int stop_signal_of(const ListenSettings& listener, const Settings& settings) noexcept {
    return listener.copies.stop_signal.value_or(settings.stop_signal);
}

/// The option that asks for such a listener: `--listen`.
[[nodiscard]] constexpr const char* option_of(Serves serves) noexcept {
    switch (serves) {
        case Serves::Clients: return "--listen";
        case Serves::Observers: return "--observe";
        case Serves::Agents: return "--agent";
    }
    return "";
}

/// As the operator wrote it, to begin a sentence with: `--listen tcp://:80`.
[[nodiscard]] inline std::string subject_of(const ListenSettings& listen) {
    return std::string{option_of(listen.serves)} + ' ' + to_string(listen.endpoint);
}

/// What the process that observes listens at.
[[nodiscard]] inline std::vector<ListenSettings> observed_endpoints(const Settings& settings) {
    std::vector<ListenSettings> endpoints;
    if (settings.observe) endpoints.push_back(*settings.observe);
    if (settings.agent) endpoints.push_back(*settings.agent);
    return endpoints;
}

/// How often a second one source is answered over UDP; zero: without a limit.  `answers_anything`: so does its handler,
/// which anybody may have speak to a third.
[[nodiscard]] inline std::uint32_t replies_per_source(const ListenSettings& listener, bool answers_anything) noexcept {
    constexpr std::uint32_t of_who_answers_anything = 1000;
    return listener.replies_per_source.value_or(answers_anything ? of_who_answers_anything : 0);
}

/// Of which events on `listener` there is a line: what it says itself, or the daemon.
[[nodiscard]] inline LogConnections log_connections_of(const ListenSettings& listener,
                                                       const Settings& settings) noexcept {
    return listener.log_connections.value_or(settings.log_connections);
}

/// Which handler serves `listener`: its own, or the daemon's.
[[nodiscard]] inline const std::string& handler_of(const ListenSettings& listener, const Settings& settings) noexcept {
    return listener.handler.empty() ? settings.handler : listener.handler;
}

/// Which program serves the clients of `listener`: its own, or the daemon's; empty: a handler does.
[[nodiscard]] inline const std::vector<std::string>& program_at(const ListenSettings& listener,
                                                                const Settings& settings) noexcept {
    return listener.program.empty() && listener.handler.empty() ? settings.program : listener.program;
}

[[nodiscard]] inline bool is_program_at(const ListenSettings& listener, const Settings& settings) noexcept {
    return !program_at(listener, settings).empty();
}

/// Whether `listener` has workers of its own, which a pool of others is beside: a service.
[[nodiscard]] inline bool is_service(const ListenSettings& listener) noexcept {
    return listener.workers || listener.model || listener.connections || listener.copies.run;
}

[[nodiscard]] inline bool has_services(const Settings& settings) noexcept {
    return std::ranges::any_of(settings.listen, is_service);
}

/// Whether programs serve any clients.
[[nodiscard]] inline bool starts_programs(const Settings& settings) noexcept {
    return !settings.program.empty() ||
           std::ranges::any_of(settings.listen, [](const ListenSettings& each) { return !each.program.empty(); });
}

/// Who serves `listener`, as the command line has it: a program, or a handler.
[[nodiscard]] inline const std::string& server_of(const ListenSettings& listener, const Settings& settings) noexcept {
    const std::vector<std::string>& program = program_at(listener, settings);
    return program.empty() ? handler_of(listener, settings) : program.front();
}

}  // namespace preforkd
