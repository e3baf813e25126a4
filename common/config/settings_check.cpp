#include "common/config/settings_check.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "common/base/lower_case.hpp"
#include "common/base/quoted.hpp"
#include "common/base/units.hpp"
#include "common/config/control_endpoint.hpp"
#include "common/config/copies_check.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

class Check {
public:
    Check(const Settings& settings, const std::vector<std::string>& handlers, const Origins& origins,
          const IsFile& is_file)
        : settings_{settings}, handlers_{handlers}, origins_{origins}, is_file_{is_file} {}

    void program() const {
        if (settings_.program.empty()) return;
        // A file may well say the default: --print-config writes it there.
        const bool chosen =
            origin_of(origins_, "handler").kind == Origin::Kind::CommandLine || settings_.handler != Settings{}.handler;
        if (chosen)
            refuse("handler", fmt::format("{} and the program {} cannot both serve; keep one, or give the handler to "
                                          "its endpoint: --listen 'ENDPOINT handler={}'",
                                          in_quotes(settings_.handler), in_quotes(settings_.program.front()),
                                          printable(settings_.handler)));
    }

    void handler_names() const {
        if (settings_.program.empty()) handler_exists("handler", 0, settings_.handler, "");
        for (std::size_t i = 0; i < settings_.listen.size(); ++i)
            if (!settings_.listen[i].handler.empty())
                handler_exists("listen", i, settings_.listen[i].handler,
                               printable(to_string(settings_.listen[i].endpoint)) + ": ");
    }

    void endpoints() const {
        if (settings_.listen.empty()) refuse("listen", "no endpoint; expected at least one");
        for (std::size_t i = 0; i < settings_.listen.size(); ++i)
            for (std::size_t j = 0; j < i; ++j) {
                const Endpoint& earlier = settings_.listen[j].endpoint;
                if (!collide(earlier, settings_.listen[i].endpoint)) continue;
                const std::string first =
                    earlier.transport == settings_.listen[i].endpoint.transport
                        ? "given twice; keep one"
                        : fmt::format("has the path of {}; choose another", printable(to_string(earlier)));
                refuse("listen", fmt::format("{}: {}", printable(to_string(settings_.listen[i].endpoint)), first), i);
            }
    }

    void numbers() const {
        const WorkerCount& workers = settings_.workers;
        const bool fixed = workers.min == workers.max && workers.min >= 0;
        const bool range = workers.min >= 1 && workers.min <= workers.max;
        if (!workers.automatic && (!(fixed || range) || workers.max > most_workers))
            refuse("workers",
                   fmt::format("expected auto, N from 0 to {0}, or MIN..MAX from 1..1 to 1..{0}, not {1}..{2}",
                               most_workers, workers.min, workers.max));
        spare();
        if (settings_.connections && (*settings_.connections < 1 || *settings_.connections > most_connections))
            refuse("connections",
                   fmt::format("expected a number from 1 to {}, not {}", most_connections, *settings_.connections));
    }

    void memory() const {
        const std::uint64_t bytes = settings_.max_memory_bytes;
        if (bytes != 0 && bytes < least_max_memory_bytes)
            refuse("max-memory",
                   fmt::format("expected 0 for no limit, or at least {}, not {}: a worker needs some of it "
                               "before it has a client",
                               print_size_bytes(least_max_memory_bytes), print_size_bytes(bytes)));
    }

    void delay() const {
        const bool alone = !settings_.workers.automatic && settings_.workers.max == 0;
        if (alone && settings_.drain_delay.count() != 0)
            refuse("drain-delay", "needs a master, and --workers 0 has none; leave it away, or ask for workers");
    }

    void observer() const {
        if (settings_.workers.automatic || settings_.workers.max != 0) return;
        constexpr std::string_view sentence =
            "needs a master to tell of, and --workers 0 has none; leave it away, or ask for workers";
        if (settings_.observe) refuse("observe", sentence);
        if (settings_.agent) refuse("agent", sentence);
    }

    /// Each has a socket of its own, and so has each --listen.
    void own_sockets() const {
        struct Taken {
            std::string_view option;
            Endpoint endpoint;
        };
        std::vector<Taken> taken;
        for (const ListenSettings& each : settings_.listen) taken.push_back({"listen", each.endpoint});
        const auto take = [&](std::string_view option, const Endpoint& own) {
            for (const Taken& other : taken)
                if (collide(own, other.endpoint))
                    refuse(option, fmt::format("{}: --{} has that already; choose another", printable(to_string(own)),
                                               other.option));
            taken.push_back({option, own});
        };
        if (settings_.observe) take("observe", settings_.observe->endpoint);
        if (settings_.agent) take("agent", settings_.agent->endpoint);
        if (!settings_.control.empty() && settings_.control != control_off)
            take("control", parse_control_endpoint(settings_.control));
    }

    void spare() const {
        if (!settings_.spare) return;
        const WorkerCount& workers = settings_.workers;
        const SpareCount& kept = *settings_.spare;
        if (!is_range(workers)) refuse("spare", "needs a pool that may grow; give it a range: --workers MIN..MAX");
        if (kept.min < 1 || kept.min > kept.max || kept.max > workers.max)
            refuse("spare", fmt::format("expected MIN..MAX from 1..1 to {0}..{0}, the most that --workers {1}..{0} "
                                        "allows, not {2}..{3}",
                                        workers.max, workers.min, kept.min, kept.max));
    }

    void sandbox() const {
        if (settings_.sandbox != SandboxMode::Strict) return;
        if (!settings_.workers.automatic && settings_.workers.max == 0)
            refuse("sandbox",
                   "strict needs workers, and --workers 0 has none: its one process binds and logs, too; use "
                   "--workers 1, or --sandbox auto");
        if (starts_programs(settings_) && !settings_.sandbox_programs)
            refuse("sandbox",
                   "strict is for handlers; for a program, too, say --sandbox-programs yes, or use "
                   "--sandbox auto");
    }

    void processes() const {
        for (std::size_t i = 0; i < settings_.listen.size(); ++i) {
            const ListenSettings& listen = settings_.listen[i];
            const std::string_view key = process_key_of(listen);
            if (key.empty()) continue;
            if (!is_program_at(listen, settings_)) {
                no_program(listen, key, i);
                continue;
            }
            const RunAs& run_as = listen.run_as;
            const bool stays = (run_as.user.empty() || run_as.user == settings_.user) &&
                               (run_as.group.empty() || run_as.group == settings_.group);
            if (!settings_.user.empty() && !stays)
                refuse("listen",
                       fmt::format("{}: workers of --user {} cannot start programs as somebody else; leave --user "
                                   "away, and say run-user= of each endpoint",
                                   printable(to_string(listen.endpoint)), printable(settings_.user)),
                       i);
        }
    }

    void services() const {
        if (!has_services(settings_)) return;
        const WorkerCount& workers = settings_.workers;
        const int others = std::max(workers.min, 1);
        int sum = std::ranges::all_of(settings_.listen, is_service) ? 0 : others;
        for (const ListenSettings& each : settings_.listen)
            if (is_service(each)) sum += each.workers.value_or(others);
        if (!workers.automatic && workers.max == 0)
            refuse("workers",
                   "0 is one process for all, and an endpoint asks for workers of its own (workers=); give a "
                   "number, or leave that away");
        if (is_range(workers))
            refuse("workers",
                   "MIN..MAX does not go with workers of an endpoint's own (workers=), whose number is fixed; give a "
                   "number");
        if (settings_.reload == ReloadMode::Rolling)
            refuse(
                "reload",
                "rolling does not go with workers of an endpoint's own (workers=), the last of which could go before "
                "the first of the new ones is there; use generation");
        if (sum > most_workers)
            refuse("workers",
                   fmt::format("{} with those of endpoints are more than {}; ask for fewer there (workers=), or here",
                               sum, most_workers));
    }

    void log() const {
        if (settings_.log.format == LogFormat::Journal && !settings_.log.file.empty())
            refuse("log-format", "journal does not go to a file; choose text or json, or leave --log-file away");
    }

private:
    /// A handler runs in its worker, which may be its own.
    void no_program(const ListenSettings& listen, std::string_view key, std::size_t index) const {
        const std::string where = printable(to_string(listen.endpoint));
        if (!is_service(listen))
            refuse("listen",
                   fmt::format(
                       "{}: {}= is for programs, and the handler {} runs in a worker that serves others, too; give "
                       "it workers of its own (workers=), or leave it away",
                       where, key, in_quotes(handler_of(listen, settings_))),
                   index);
        RunAs rest = listen.run_as;
        rest.user.clear();
        rest.group.clear();
        rest.nice.reset();
        if (rest != RunAs{})
            refuse("listen",
                   fmt::format("{}: of workers run-user=, run-group= and nice= can be said; env=, chdir=, umask= and "
                               "limit-*= are for programs; leave them away",
                               where),
                   index);
    }

    [[noreturn]] void refuse(std::string_view option, std::string_view sentence, std::size_t index = 0) const {
        blame(origin_of(origins_, option, index), option, sentence);
    }

    void handler_exists(std::string_view option, std::size_t index, const std::string& name,
                        const std::string& where) const {
        if (std::find(handlers_.begin(), handlers_.end(), name) != handlers_.end()) return;
        refuse(option,
               fmt::format("{}unknown handler {}; there are {}{}", where, in_quotes(name), fmt::join(handlers_, ", "),
                           may_be_file(name) ? "; a shared object is named with a slash: ./" + printable(name) : ""),
               index);
    }

    /// A file is told from a handler by its slash, as for dlopen(3) and a shell.
    [[nodiscard]] bool may_be_file(const std::string& name) const {
        return name.ends_with(".so") || (is_file_ && is_file_(name));
    }

    /// Names of hosts are equal whatever their case; two spellings of one address are left for bind(2) to find.
    static bool same_host(std::string_view a, std::string_view b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                          [](char x, char y) { return lower_case(x) == lower_case(y); });
    }

    static bool has_path(Transport transport) {
        return transport == Transport::Unix || transport == Transport::UnixDatagram;
    }

    /// Whether the second of both could never be bound.  Port 0 is another port each time.
    static bool collide(const Endpoint& a, const Endpoint& b) {
        // A file serves one socket; of an abstract name there is one for each kind.
        if (has_path(a.transport) && has_path(b.transport) && !a.abstract && !b.abstract) return a.path == b.path;
        if (a.transport != b.transport) return false;
        if (a.transport == Transport::Passed || has_path(a.transport))
            return a.path == b.path && a.abstract == b.abstract;
        return a.port != 0 && a.port == b.port && same_host(a.host, b.host);
    }

    const Settings& settings_;
    const std::vector<std::string>& handlers_;
    const Origins& origins_;
    const IsFile& is_file_;
};

}  // namespace

void check_settings(const Settings& settings, const std::vector<std::string>& handlers, const Origins& origins,
                    const IsFile& is_file) {
    const Check check{settings, handlers, origins, is_file};
    check.program();
    check.handler_names();
    check.endpoints();
    check.numbers();
    check.memory();
    check.delay();
    check.observer();
    check.own_sockets();
    check.sandbox();
    check.processes();
    check.services();
    check.log();
    check_copies(settings, origins);
}

}  // namespace preforkd
