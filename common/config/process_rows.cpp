// run-user=, limit-nofile= and the others that say as what the programs of a listener run.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <array>
#include <utility>

#include "common/base/parse_number.hpp"
#include "common/base/units.hpp"
#include "common/config/command_words.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

std::string_view variable_name(std::string_view variable) { return variable.substr(0, variable.find('=')); }

int read_nice(std::string_view text) {
    const auto nice = parse_number<int>(text);
    if (!nice || *nice < -20 || *nice > 19) refuse_value("a number from -20 to 19", text);
    return *nice;
}

std::string read_variable(std::string_view text) {
    constexpr std::string_view digits = "0123456789";
    constexpr std::string_view in_names = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    std::string variable = percent_decoded(text);
    const std::string_view name = variable_name(variable);
    if (name.empty() || name.size() == variable.size() || name.find_first_not_of(in_names) != name.npos ||
        digits.find(name.front()) != digits.npos || variable.find('\0') != variable.npos)
        refuse_value("NAME=VALUE", text);
    return variable;
}

void add_variable(RunAs& run_as, std::string_view text) {
    std::string variable = read_variable(text);
    for (const std::string& each : run_as.environment)
        if (variable_name(each) == variable_name(variable))
            refuse_value("one value for " + std::string{variable_name(each)}, text);
    run_as.environment.push_back(std::move(variable));
}

std::optional<std::string> print_variables(const ListenSettings& settings) {
    std::vector<std::string> values;
    for (const std::string& variable : settings.run_as.environment) values.push_back(percent_encoded(variable));
    return unless_empty(fmt::format("{}", fmt::join(values, " env=")));
}

std::string read_directory(std::string_view text) {
    std::string path = read_path(percent_decoded(text), "an absolute path");
    if (!path.starts_with('/')) refuse_value("an absolute path", text);
    return path;
}

// --- limit-NAME ---

/// What the number of a limit is.
enum class LimitUnit { Bytes, Number };

struct LimitKind {
    std::string_view key;
    int resource;
    LimitUnit unit;
    std::string_view meaning;
};

// All of Linux but `locks` and `rss`, which have no effect.  Source: getrlimit(2)
constexpr std::array<LimitKind, 14> limit_kinds{
    {{"limit-as", RLIMIT_AS, LimitUnit::Bytes, "setrlimit(2) for programs: addresses, such as 512M"},
     {"limit-core", RLIMIT_CORE, LimitUnit::Bytes, "the size of a core dump"},
     {"limit-cpu", RLIMIT_CPU, LimitUnit::Number, "seconds of CPU time"},
     {"limit-data", RLIMIT_DATA, LimitUnit::Bytes, "memory that may be written"},
     {"limit-fsize", RLIMIT_FSIZE, LimitUnit::Bytes, "the size of a file that is written"},
     {"limit-memlock", RLIMIT_MEMLOCK, LimitUnit::Bytes, "memory that stays in RAM"},
     {"limit-msgqueue", RLIMIT_MSGQUEUE, LimitUnit::Bytes, "POSIX message queues of the user"},
     {"limit-nice", RLIMIT_NICE, LimitUnit::Number, "20 less the lowest nice value"},
     {"limit-nofile", RLIMIT_NOFILE, LimitUnit::Number, "open files (default: as the daemon was given)"},
     {"limit-nproc", RLIMIT_NPROC, LimitUnit::Number, "processes of the user"},
     {"limit-rtprio", RLIMIT_RTPRIO, LimitUnit::Number, "the highest real-time priority"},
     {"limit-rttime", RLIMIT_RTTIME, LimitUnit::Number, "microseconds of real-time CPU time"},
     {"limit-sigpending", RLIMIT_SIGPENDING, LimitUnit::Number, "queued signals of the user"},
     {"limit-stack", RLIMIT_STACK, LimitUnit::Bytes, "the stack of the first thread"}}};

std::optional<std::uint64_t> parse_limit(std::string_view text, LimitUnit unit) {
    if (text == "infinity") return no_resource_limit;
    const auto value = unit == LimitUnit::Bytes ? parse_size_bytes(text) : parse_number<std::uint64_t>(text);
    return value == no_resource_limit ? std::nullopt : value;
}

ResourceLimit read_limit(const LimitKind& kind, std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto soft = parse_limit(text.substr(0, colon), kind.unit);
    const auto hard = colon == text.npos ? soft : parse_limit(text.substr(colon + 1), kind.unit);
    const bool is_bytes = kind.unit == LimitUnit::Bytes;
    if (!soft || !hard || *soft > *hard)
        refuse_value(fmt::format("SOFT or SOFT:HARD, {0}, and SOFT no higher than HARD",
                                 is_bytes ? "sizes such as 64M, or infinity" : "numbers, or infinity"),
                     text);
    return {.resource = kind.resource, .soft = *soft, .hard = *hard};
}

std::string print_one(std::uint64_t value, LimitUnit unit) {
    if (value == no_resource_limit) return "infinity";
    return unit == LimitUnit::Bytes ? print_size_bytes(value) : std::to_string(value);
}

template <std::size_t Index>
void read_limit_at(ListenSettings& settings, std::string_view text) {
    constexpr const LimitKind& kind = limit_kinds[Index];
    settings.run_as.limits[kind.key] = read_limit(kind, text);
}

template <std::size_t Index>
std::optional<std::string> print_limit_at(const ListenSettings& settings) {
    constexpr const LimitKind& kind = limit_kinds[Index];
    const auto limit = settings.run_as.limits.find(kind.key);
    if (limit == settings.run_as.limits.end()) return std::nullopt;
    const auto& [resource, soft, hard] = limit->second;
    const std::string text = print_one(soft, kind.unit);
    return soft == hard ? text : text + ':' + print_one(hard, kind.unit);
}

template <std::size_t Index>
constexpr ListenRow limit_row() {
    return {{limit_kinds[Index].key, "SOFT[:HARD]", "all", limit_kinds[Index].meaning},
            any_transport,
            read_limit_at<Index>,
            print_limit_at<Index>};
}

constexpr std::array<ListenRow, 6> rows_of_processes{{
    {{"run-user", "USER", "all", "programs run as this user (default: as workers do)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.run_as.user = read_word(text, "the name or number of a user"); },
     [](const ListenSettings& s) { return unless_empty(s.run_as.user); }},
    {{"run-group", "GROUP", "all", "programs run as this group (default: the user's own)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) {
         s.run_as.group = read_word(text, "the name or number of a group");
     },
     [](const ListenSettings& s) { return unless_empty(s.run_as.group); }},
    {{"nice", "N", "all", "programs run at this priority, from -20 to 19"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.run_as.nice = read_nice(text); },
     [](const ListenSettings& s) {
         return s.run_as.nice ? std::optional{std::to_string(*s.run_as.nice)} : std::nullopt;
     }},
    {{.name = "env",
      .argument = "NAME=VALUE",
      .transports = "all",
      .meaning = "programs have this in their environment; may be repeated; %20 for a blank, but plain in a section",
      .plain_in_section = true},
     any_transport,
     [](ListenSettings& s, std::string_view text) { add_variable(s.run_as, text); },
     print_variables,
     true},
    {{.name = "chdir",
      .argument = "DIRECTORY",
      .transports = "all",
      .meaning = "programs run in this directory, instead of --chdir",
      .plain_in_section = true},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.run_as.chdir = read_directory(text); },
     [](const ListenSettings& s) { return unless_empty(percent_encoded(s.run_as.chdir)); }},
    {{"umask", "OCTAL", "all", "programs create files without these permission bits, instead of --umask"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.run_as.umask = read_permissions(text); },
     [](const ListenSettings& s) {
         return s.run_as.umask ? std::optional{print_permissions(*s.run_as.umask)} : std::nullopt;
     }},
}};

template <std::size_t... Index>
std::vector<ListenRow> with_limits(std::index_sequence<Index...>) {
    std::vector<ListenRow> rows{rows_of_processes.begin(), rows_of_processes.end()};
    (rows.push_back(limit_row<Index>()), ...);
    return rows;
}

}  // namespace

std::span<const ListenRow> process_rows() noexcept {
    static const std::vector<ListenRow> rows = with_limits(std::make_index_sequence<limit_kinds.size()>{});
    return rows;
}

}  // namespace preforkd
