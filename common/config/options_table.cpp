#include "common/config/options_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>

#include "common/base/parse_number.hpp"
#include "common/base/units.hpp"
#include "common/config/command_words.hpp"
#include "common/config/control_endpoint.hpp"
#include "common/config/copy_values.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/named_value.hpp"
#include "common/config/observe_endpoint.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

using Values = std::vector<std::string>;

constexpr std::string_view serving = "What is served, and where";
constexpr std::string_view pool = "Workers";
constexpr std::string_view programs = "Programs behind --";
constexpr std::string_view limits = "Time limits (500ms, 30s, 5m, 2h, 1m30s; a plain number is seconds; 0 is never)";
constexpr std::string_view process = "The process";
constexpr std::string_view security = "What workers may do";
constexpr std::string_view observing = "Being looked at";
constexpr std::string_view logging = "Logging";
constexpr std::string_view orders = "Configuration and information";

constexpr NumberRange connections_range{.min = 1, .max = most_connections};
constexpr NumberRange max_requests_range{.min = 0, .max = 1'000'000'000'000};  // leaves space for its ±10 %
constexpr std::uint64_t highest_fd = 1'048'576;                                // fs.nr_open.  Source: proc(5)

template <class Number>
Values if_set(const std::optional<Number>& number) {
    return number ? Values{std::to_string(*number)} : Values{};
}
Values if_set(const std::string& text) { return text.empty() ? Values{} : Values{text}; }

constexpr std::array<Named<ReloadMode>, 2> reload_modes{
    {{"generation", ReloadMode::Generation}, {"rolling", ReloadMode::Rolling}}};
constexpr std::array<Named<LogLevel>, 5> log_levels{{{"error", LogLevel::Error},
                                                     {"warning", LogLevel::Warning},
                                                     {"notice", LogLevel::Notice},
                                                     {"info", LogLevel::Info},
                                                     {"debug", LogLevel::Debug}}};
constexpr std::array<Named<LogFormat>, 4> log_formats{
    {{"auto", LogFormat::Auto}, {"text", LogFormat::Text}, {"json", LogFormat::Json}, {"journal", LogFormat::Journal}}};

constexpr std::array<Named<SandboxMode>, 3> sandbox_modes{
    {{"auto", SandboxMode::Auto}, {"off", SandboxMode::Off}, {"strict", SandboxMode::Strict}}};

template <class Value, std::size_t N>
Values print_named(const std::array<Named<Value>, N>& known, Value value) {
    return {name_of(known, value)};
}

struct NumberPair {
    int min;
    int max;
};

/// `N..M` as two numbers from `least` on; a plain `N` as twice the same.
NumberPair read_range(std::string_view text, std::uint64_t least, std::string_view expected) {
    const std::size_t dots = text.find("..");
    const auto last = dots == std::string_view::npos ? text : text.substr(dots + 2);
    NumberPair range{};
    try {
        range.min = static_cast<int>(read_number(text.substr(0, dots), {.min = least, .max = most_workers}));
        range.max = static_cast<int>(read_number(last, {.min = least, .max = most_workers}));
    } catch (const std::invalid_argument&) { refuse_value(expected, text); }
    if (range.min > range.max)
        throw std::invalid_argument{fmt::format("MIN is above MAX in {0}..{1}; write {1}..{0}", range.min, range.max)};
    return range;
}

SpareCount read_spare(std::string_view text) {
    const NumberPair range = read_range(text, 1, "MIN..MAX from 1..1 to 1024..1024, or N for N..N");
    return {.min = range.min, .max = range.max};
}

WorkerCount read_workers(std::string_view text) {
    if (text == "auto") return {};
    const NumberPair range = read_range(text, text.find("..") == std::string_view::npos ? 0 : 1,
                                        "auto, N from 0 to 1024, or MIN..MAX from 1..1 to 1..1024");
    return {.automatic = false, .min = range.min, .max = range.max};
}

std::string read_control(std::string_view text) {
    return text == control_off ? std::string{control_off} : to_string(parse_control_endpoint(text));
}

std::string print_workers(const WorkerCount& workers) {
    if (workers.automatic) return "auto";
    if (workers.min == workers.max) return std::to_string(workers.min);
    return fmt::format("{}..{}", workers.min, workers.max);
}

std::string print_spare(const SpareCount& spare) { return fmt::format("{}..{}", spare.min, spare.max); }

std::uint64_t read_size(std::string_view text, std::string_view expected) {
    const auto bytes = parse_size_bytes(text);
    if (!bytes) refuse_value(expected, text);
    return *bytes;
}

void read_listen(Settings& settings, std::string_view text) {
    settings.listen.push_back(parse_listen(text));
    settings.listen_is_default = false;
}

Values print_listen(const Settings& settings) {
    Values values;
    if (!settings.listen_is_default)
        for (const auto& each : settings.listen) values.push_back(to_string(each));
    return values;
}

int read_ready_fd(std::string_view text) {
    constexpr std::string_view expected = "the number of an open descriptor: 1, or 3 and above";
    try {
        const auto fd = static_cast<int>(read_number(text, {.min = 1, .max = highest_fd}));
        if (fd != 2) return fd;  // it is closed after the message, and errors need it
    } catch (const std::invalid_argument&) {}
    refuse_value(expected, text);
}

constexpr auto rows = std::to_array<OptionRow>({
    {"listen", 'l', "ENDPOINT", serving, "listen there, see below; may be repeated",
     "tcp://:10000, unless systemd passes sockets", read_listen, print_listen, true},
    {"handler", 'H', "NAME", serving, "what serves a connection: one of --list-handlers, or ./FILE.so, a shared object",
     "", [](Settings& s, std::string_view text) { s.handler = read_word(text, "the name of a handler"); },
     [](const Settings& s) { return if_set(s.handler); }},
    {"greeting", 0, "TEXT", serving, "what the handler greet says", "",
     [](Settings& s, std::string_view text) { s.greeting = text; },
     [](const Settings& s) { return Values{s.greeting}; }},
    {"to", 0, "ENDPOINT,...", serving,
     "where the handler forward sends its clients, by turns: tcp://HOST:PORT, unix:///PATH, or with tls", "none",
     [](Settings& s, std::string_view text) { s.to = parse_targets(text); },
     [](const Settings& s) { return if_set(to_string(s.to)); }},
    {"line-max", 0, "SIZE", serving,
     "how long a line may be that a blocking handler reads; 0: as long as the client likes", "",
     [](Settings& s, std::string_view text) {
         s.line_max_bytes = read_size(text, "a size such as 64K or 1M, or 0 for any length");
     },
     [](const Settings& s) { return Values{print_size_bytes(s.line_max_bytes)}; }},
    {"backlog", 0, "N", serving, "connections that the kernel queues for an endpoint", "min(4096, net.core.somaxconn)",
     [](Settings& s, std::string_view text) { s.backlog = static_cast<int>(read_number(text, backlog_range)); },
     [](const Settings& s) { return if_set(s.backlog); }},

    {"workers", 'w', "N|MIN..MAX|auto", pool,
     "worker processes; MIN..MAX: as many as are needed; auto: one for each usable CPU; 0: one process, unsupervised",
     "", [](Settings& s, std::string_view text) { s.workers = read_workers(text); },
     [](const Settings& s) { return Values{print_workers(s.workers)}; }},
    {"spare", 0, "MIN..MAX", pool, "keep so many workers with capacity for another client, within --workers MIN..MAX",
     "1..MIN of --workers", [](Settings& s, std::string_view text) { s.spare = read_spare(text); },
     [](const Settings& s) { return s.spare ? Values{print_spare(*s.spare)} : Values{}; }},
    {"model", 'm', "MODEL", pool, "how a worker runs connections: async, serial, thread or fork", "the handler's own",
     [](Settings& s, std::string_view text) { s.model = read_model(text); },
     [](const Settings& s) { return s.model ? Values{std::string{to_string(*s.model)}} : Values{}; }},
    {"connections", 'c', "N", pool, "connections at once in each worker", "async 1024, serial 1, thread and fork 40",
     [](Settings& s, std::string_view text) { s.connections = static_cast<int>(read_number(text, connections_range)); },
     [](const Settings& s) { return if_set(s.connections); }},
    {"reload", 0, "MODE", pool,
     "how a reload and an upgrade replace workers: generation, all at once; or rolling, one by one, where both "
     "generations do not fit",
     "", [](Settings& s, std::string_view text) { s.reload = read_named(reload_modes, text); },
     [](const Settings& s) { return print_named(reload_modes, s.reload); }},
    {"max-requests", 0, "N", pool, "replace a worker after so many requests, give or take 10 %; 0: never", "",
     [](Settings& s, std::string_view text) { s.max_requests = read_number(text, max_requests_range); },
     [](const Settings& s) { return Values{std::to_string(s.max_requests)}; }},
    {"max-memory", 0, "SIZE", pool,
     "replace a worker whose private memory has grown beyond this, such as 200M; 0: never", "",
     [](Settings& s, std::string_view text) {
         s.max_memory_bytes = read_size(text, "a size such as 64M or 2G, or 0 for never");
     },
     [](const Settings& s) { return Values{print_size_bytes(s.max_memory_bytes)}; }},

    {"program", 0, "COMMAND", programs,
     "the same in one line, for a file: quotes keep blanks, as in a unit of systemd; -- PROGRAM goes before it", "none",
     [](Settings& s, std::string_view text) { s.program = split_command(text); },
     [](const Settings& s) { return s.program.empty() ? Values{} : Values{join_command(s.program)}; }},
    {"run", 0, "client|pool", programs,
     "client: start the program for each client; pool: each worker is one copy of it, which accepts by itself", "",
     [](Settings& s, std::string_view text) { s.run = read_run_mode(text); },
     [](const Settings& s) { return Values{print(s.run)}; }},
    {"pass", 0, "listen|fd0|starter|einhorn", programs,
     "how a copy gets the sockets: as systemd passes them, one as descriptor 0, as Server::Starter or as einhorn does",
     "", [](Settings& s, std::string_view text) { s.pass = read_pass(text); },
     [](const Settings& s) { return Values{print(s.pass)}; }},
    {"ready", 0, "alive:TIME|notify|fd:N", programs,
     "when a copy counts as ready: once it has lived for so long, has said READY=1, or has written to descriptor N", "",
     [](Settings& s, std::string_view text) { s.ready = read_ready(text); },
     [](const Settings& s) { return Values{print(s.ready)}; }},
    {"stop-signal", 0, "SIGNAL", programs,
     "what asks a program that accepts by itself to end: TERM, QUIT, INT, HUP, USR1, USR2 or WINCH", "",
     [](Settings& s, std::string_view text) { s.stop_signal = read_program_signal(text); },
     [](const Settings& s) { return Values{print_program_signal(s.stop_signal)}; }},
    {"reload-signal", 0, "SIGNAL", programs,
     "what has a copy read its own settings anew: sent by a reload that changes nothing of ours, instead of new copies",
     "none", [](Settings& s, std::string_view text) { s.reload_signal = read_program_signal(text); },
     [](const Settings& s) { return s.reload_signal ? Values{print_program_signal(*s.reload_signal)} : Values{}; }},

    {"idle-timeout", 0, "TIME", limits, "close a connection on which nothing moves for so long", "",
     [](Settings& s, std::string_view text) { s.idle_timeout = read_timeout(text); },
     [](const Settings& s) { return Values{to_string(s.idle_timeout)}; }},
    {"drain-delay", 0, "TIME", limits, "at a graceful stop say so, and serve on for so long before it; 0: no delay", "",
     [](Settings& s, std::string_view text) { s.drain_delay = read_timeout(text); },
     [](const Settings& s) { return Values{to_string(s.drain_delay)}; }},
    {"stop-timeout", 0, "TIME", limits, "let running connections finish for so long at a graceful stop", "",
     [](Settings& s, std::string_view text) { s.stop_timeout = read_timeout(text); },
     [](const Settings& s) { return Values{to_string(s.stop_timeout)}; }},
    {"reload-timeout", 0, "TIME|never", limits,
     "let connections of the workers that a reload, an upgrade, --max-requests or --max-memory replaces finish for so "
     "long",
     "never for programs behind --, --stop-timeout for handlers",
     [](Settings& s, std::string_view text) {
         s.reload_timeout = text == "never" ? std::chrono::milliseconds::zero() : read_timeout(text);
     },
     [](const Settings& s) { return s.reload_timeout ? Values{to_string(*s.reload_timeout)} : Values{}; }},
    {"boot-timeout", 0, "TIME", limits, "give up on a worker that is not ready after so long", "",
     [](Settings& s, std::string_view text) { s.boot_timeout = read_timeout(text); },
     [](const Settings& s) { return Values{to_string(s.boot_timeout)}; }},
    {"worker-timeout", 0, "TIME", limits,
     "how long handler code may run before its worker counts as hung; waiting for a client does not count", "",
     [](Settings& s, std::string_view text) { s.worker_timeout = read_timeout(text); },
     [](const Settings& s) { return Values{to_string(s.worker_timeout)}; }},
    {"request-timeout", 0, "TIME", limits, "cut off a client that has been served for so long, busy or not", "",
     [](Settings& s, std::string_view text) { s.request_timeout = read_timeout(text); },
     [](const Settings& s) { return Values{to_string(s.request_timeout)}; }},

    {"user", 0, "USER", process, "workers run as this user", "as started",
     [](Settings& s, std::string_view text) { s.user = read_word(text, "the name or number of a user"); },
     [](const Settings& s) { return if_set(s.user); }},
    {"group", 0, "GROUP", process, "workers run as this group", "the user's own, or as started",
     [](Settings& s, std::string_view text) { s.group = read_word(text, "the name or number of a group"); },
     [](const Settings& s) { return if_set(s.group); }},
    {"chdir", 0, "DIRECTORY", process, "workers run in this directory", "where started",
     [](Settings& s, std::string_view text) { s.chdir = read_path(text, "a directory"); },
     [](const Settings& s) { return if_set(s.chdir); }},
    {"umask", 0, "OCTAL", process, "workers create files without these permission bits", "as started",
     [](Settings& s, std::string_view text) { s.umask = read_permissions(text); },
     [](const Settings& s) { return s.umask ? Values{print_permissions(*s.umask)} : Values{}; }},
    {"core-dumps", 0, "yes|no", process,
     "let the kernel write core dumps of workers, and every process of their user trace them and read their memory", "",
     [](Settings& s, std::string_view text) { s.core_dumps = read_yes_no(text); },
     [](const Settings& s) { return Values{print_yes_no(s.core_dumps)}; }},
    {"leave-orphans", 0, "yes|no", process,
     "at the daemon's stop, let what programs and handlers have put into the background live on", "",
     [](Settings& s, std::string_view text) { s.leave_orphans = read_yes_no(text); },
     [](const Settings& s) { return Values{print_yes_no(s.leave_orphans)}; }},
    {"ready-fd", 0, "N", process, "write the endpoints, one a line, to this descriptor and close it once ready", "none",
     [](Settings& s, std::string_view text) { s.ready_fd = read_ready_fd(text); },
     [](const Settings& s) { return if_set(s.ready_fd); }},
    {"control", 0, "ENDPOINT", process,
     "where preforkctl asks and orders, unix:///PATH or unix://@NAME, for root and this user alone; or off",
     "control.sock in $RUNTIME_DIRECTORY, else NAME.sock in /run/preforkd-by-hand (root) or $XDG_RUNTIME_DIR/preforkd",
     [](Settings& s, std::string_view text) { s.control = read_control(text); },
     [](const Settings& s) { return if_set(s.control); }},
    {"name", 0, "NAME", process, "what preforkctl -i NAME finds it by, where nothing says a path for --control", "",
     [](Settings& s, std::string_view text) { s.name = read_daemon_name(text); },
     [](const Settings& s) { return Values{s.name}; }},

    {"sandbox", 0, "MODE", security,
     "auto: take from workers what no handler needs, such as tracing others; strict: leave only what the model needs, "
     "and no file but those named below; off: neither",
     "", [](Settings& s, std::string_view text) { s.sandbox = read_named(sandbox_modes, text); },
     [](const Settings& s) { return print_named(sandbox_modes, s.sandbox); }},
    {"sandbox-programs", 0, "yes|no", security,
     "have workers that start programs put it on, too, and so the programs, which cannot gain rights then", "",
     [](Settings& s, std::string_view text) { s.sandbox_programs = read_yes_no(text); },
     [](const Settings& s) { return Values{print_yes_no(s.sandbox_programs)}; }},
    {"allow-read", 0, "PATH", security,
     "with --sandbox strict, let workers read and execute this file, or all in this directory; may be repeated", "none",
     [](Settings& s, std::string_view text) { s.allow_read.push_back(read_path(text, "a file or a directory")); },
     [](const Settings& s) { return s.allow_read; }, true},
    {"allow-write", 0, "PATH", security,
     "with --sandbox strict, let workers read, write, make and remove it as well; may be repeated", "none",
     [](Settings& s, std::string_view text) { s.allow_write.push_back(read_path(text, "a file or a directory")); },
     [](const Settings& s) { return s.allow_write; }, true},

    {"observe", 0, "ENDPOINT|off", observing,
     "tell over HTTP at tcp://localhost:PORT or unix:///PATH: metrics for Prometheus, health for balancers, a page to "
     "look at",
     "", [](Settings& s, std::string_view text) { s.observe = parse_observe_endpoint(text, Serves::Observers); },
     [](const Settings& s) { return Values{print_observe_endpoint(s.observe)}; }},
    {"observe-details", 0, "yes|no", observing, "tell there who the clients are, and what the errors say, too", "",
     [](Settings& s, std::string_view text) { s.observe_details = read_yes_no(text); },
     [](const Settings& s) { return Values{print_yes_no(s.observe_details)}; }},
    {"agent", 0, "ENDPOINT|off", observing, "answer HAProxy's agent-check there: whether to send clients, and how many",
     "", [](Settings& s, std::string_view text) { s.agent = parse_observe_endpoint(text, Serves::Agents); },
     [](const Settings& s) { return Values{print_observe_endpoint(s.agent)}; }},

    {"log-level", 0, "LEVEL", logging, "print events down to this level: error, warning, notice, info or debug", "",
     [](Settings& s, std::string_view text) { s.log.level = read_named(log_levels, text); },
     [](const Settings& s) { return print_named(log_levels, s.log.level); }},
    {"log-format", 0, "FORMAT", logging,
     "auto, text, json or journal; auto: the journal's own there, text where a terminal shows it, else json", "",
     [](Settings& s, std::string_view text) { s.log.format = read_named(log_formats, text); },
     [](const Settings& s) { return print_named(log_formats, s.log.format); }},
    {"log-file", 0, "FILE", logging, "append to this file; opened again on USR1", "standard error",
     [](Settings& s, std::string_view text) { s.log.file = read_path(text, "a file"); },
     [](const Settings& s) { return if_set(s.log.file); }},
    {"log-connections", 0, "begin|end|both|no", logging,
     "print a line when a connection begins, or when it ends: its duration, bytes, outcome and wait in the queue", "",
     [](Settings& s, std::string_view text) { s.log_connections = read_log_connections(text); },
     [](const Settings& s) { return Values{print_log_connections(s.log_connections)}; }},
    {"stderr-rate", 0, "N/s|off", logging,
     "print so many lines of what the programs of a worker write to standard error; drop and count the rest", "",
     [](Settings& s, std::string_view text) { s.stderr_rate = read_rate(text); },
     [](const Settings& s) { return Values{print_rate(s.stderr_rate)}; }},

    {"config", 'C', "FILE", orders, "read options from this file and FILE.d/*.conf: lines `name = value`", "none",
     [](Settings&, std::string_view text) { static_cast<void>(read_path(text, "a file")); }, nullptr},
    {"check-config", 0, "", orders, "check all options, then exit", "", nullptr, nullptr},
    {"print-config", 0, "", orders, "print every option with its value and where that comes from, then exit", "",
     nullptr, nullptr},
    {"list-handlers", 0, "", orders, "print the names of the handlers, then exit", "", nullptr, nullptr},
    {"version", 'V', "", orders, "print the version, then exit", "", nullptr, nullptr},
    {"help", 'h', "", orders, "print this help, then exit", "", nullptr, nullptr},
});

}  // namespace

std::span<const OptionRow> option_table() noexcept { return rows; }

const OptionRow* find_option(std::string_view name) noexcept {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const OptionRow& each) { return each.name == name; });
    return row == rows.end() ? nullptr : &*row;
}

const OptionRow* find_option(char letter) noexcept {
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const OptionRow& each) { return letter != 0 && each.letter == letter; });
    return row == rows.end() ? nullptr : &*row;
}

bool same_settings(const Settings& one, const Settings& other) {
    return one.own == other.own && std::ranges::all_of(rows, [&](const OptionRow& row) {
               return row.print == nullptr || row.print(one) == row.print(other);
           });
}

std::string environment_name(const OptionRow& row) {
    std::string name = "PREFORKD_";
    for (const char c : row.name) name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return name;
}

}  // namespace preforkd
