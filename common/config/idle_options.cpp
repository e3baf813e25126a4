#include "common/config/idle_options.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "common/config/control_endpoint.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

bool has_master(const Settings& settings) { return settings.workers.automatic || settings.workers.max != 0; }

bool some_listener(const Settings& settings, bool (*is_so)(const ListenSettings&, const Settings&)) {
    return std::ranges::any_of(settings.listen, [&](const ListenSettings& each) { return is_so(each, settings); });
}

/// A socket that systemd passes may be one of connections.
bool has_connections(const ListenSettings& listen) { return !is_datagram(listen.endpoint.transport); }

bool has_streams_for_handlers(const ListenSettings& listen, const Settings& settings) {
    return has_connections(listen) && !is_program_at(listen, settings);
}

bool may_read_lines(const ListenSettings& listen, const Settings& settings) {
    const std::optional<Model> model = listen.model ? listen.model : settings.model;
    return model != Model::Async && has_streams_for_handlers(listen, settings);
}

/// Handlers of one's own are told what it is.
bool may_greet(const ListenSettings& listen, const Settings& settings) {
    constexpr std::array<std::string_view, 6> silent{"print", "echo", "discard", "daytime", "chargen", "forward"};
    return !is_program_at(listen, settings) && std::ranges::find(silent, handler_of(listen, settings)) == silent.end();
}

bool has_queue_of_ours(const ListenSettings& listen, const Settings&) {
    return has_connections(listen) && listen.endpoint.transport != Transport::Passed;
}

struct IdleRow {
    std::string_view option;
    bool (*has_effect)(const Settings&);
    std::string_view reason;  ///< and what to do
};

constexpr std::string_view no_master = "it is the master's, and --workers 0 has none; ask for workers";
constexpr std::string_view no_program = "it is about programs, and none is started; add -- PROGRAM";
constexpr std::string_view not_strict = "it is for --sandbox strict; add that";

constexpr auto rows_of_idle_options = std::to_array<IdleRow>({
    {"greeting", [](const Settings& s) { return some_listener(s, may_greet); },
     "it is what the handler greet says, which nobody is served by; add --handler greet"},
    {"line-max", [](const Settings& s) { return some_listener(s, may_read_lines); },
     "it is for blocking handlers of connections, and none serves here; add one"},
    {"idle-timeout", [](const Settings& s) { return some_listener(s, has_streams_for_handlers); },
     "it is for connections that handlers serve, and there are none here; programs keep their own time"},
    {"backlog", [](const Settings& s) { return some_listener(s, has_queue_of_ours); },
     "it is for the queues of tcp and unix, and of passed sockets systemd says it; listen at one"},
    {"reload", has_master, no_master},
    {"max-requests", has_master, no_master},
    {"max-memory", has_master, no_master},
    {"reload-timeout", has_master, no_master},
    {"boot-timeout", has_master, no_master},
    {"worker-timeout", has_master, no_master},
    {"control", [](const Settings& s) { return has_master(s) || s.control == control_off; }, no_master},
    {"name", [](const Settings& s) { return has_master(s); }, no_master},
    {"name", [](const Settings& s) { return s.control.empty(); },
     "it names a control socket that no option places, and --control does; take that away"},
    {"stderr-rate", starts_programs, no_program},
    {"sandbox-programs", starts_programs, no_program},
    {"sandbox-programs", [](const Settings& s) { return s.sandbox != SandboxMode::Off; },
     "--sandbox is off; turn that on"},
    {"allow-read", [](const Settings& s) { return s.sandbox == SandboxMode::Strict; }, not_strict},
    {"allow-write", [](const Settings& s) { return s.sandbox == SandboxMode::Strict; }, not_strict},
    {"observe-details", [](const Settings& s) { return s.observe.has_value(); },
     "it is about what --observe tells; add that"},
});

/// --print-config writes defaults, too.
bool says_something(std::string_view option, const Settings& settings) {
    const OptionRow& row = *find_option(option);
    return row.print(settings) != row.print(Settings{});
}

}  // namespace

std::vector<std::string> idle_options(const Settings& settings, const Origins& origins) {
    std::vector<std::string> warnings;
    for (const IdleRow& row : rows_of_idle_options)
        if (origins.contains(row.option) && says_something(row.option, settings) && !row.has_effect(settings))
            warnings.push_back(fmt::format("{} has no effect: {}, or leave it away",
                                           name_at(origin_of(origins, row.option), row.option), row.reason));
    return warnings;
}

}  // namespace preforkd
