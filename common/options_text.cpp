#include "common/options_text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>

#include "common/config_file.hpp"
#include "common/listen_settings.hpp"
#include "common/options.hpp"
#include "common/options_table.hpp"

namespace preforkd {
namespace {

constexpr std::size_t help_columns = 100;
constexpr std::size_t text_column = 32;

constexpr std::string_view help_head =
    "Usage: preforkd [OPTION...] [-- PROGRAM [ARG...]]\n"
    "Serves clients from a pool of pre-forked workers; with PROGRAM, runs it for each connection.\n";

constexpr std::string_view help_endpoints =
    "\nEndpoints:\n"
    "  tcp://HOST:PORT, udp://HOST:PORT  an empty HOST is every address, IPv4 and IPv6; an IPv6 address\n"
    "                                    stands in brackets; port 0 is any free one; :PORT is tcp://:PORT\n"
    "  unix:///PATH, unixgram:///PATH    a socket file; unix://@NAME is abstract, without a file\n"
    "  fd://NAME                         a socket that systemd passes by this name\n"
    "\nSettings of one endpoint, behind it in the same argument: --listen 'tcp://:7 handler=echo':\n";

constexpr std::string_view help_sources =
    "\nEach option can also be given in the environment, as PREFORKD_IDLE_TIMEOUT=30s (several endpoints:\n"
    "one a line; an empty variable says nothing), and in the file of --config, as a line\n"
    "    idle-timeout = 30s    # a comment\n"
    "where \"double quotes\" keep blanks, # and escapes such as \\n in a value. The command line goes before\n"
    "the environment, the environment before the file.\n";

constexpr std::string_view help_signals =
    "\nSignals to the master:\n"
    "  TERM, QUIT  stop gracefully; a second one: now      USR1        open the log file again\n"
    "  INT         stop now                                HUP         reload: new workers, new settings\n"
    "  TTIN, TTOU  one worker more, one fewer              USR2        upgrade: the new binary, in place\n"
    "\nExit codes: 0 stopped, 64 usage, 69 no worker became ready, 70 internal error, 71 system error,\n"
    "77 permission denied, 78 configuration.\n";

/// Appends `left`, and `text` from text_column on, broken between words.
void append_entry(std::string& help, const std::string& left, std::string_view text) {
    std::string line = left;
    if (line.size() + 2 > text_column) {
        help += line + '\n';
        line.clear();
    }
    line.resize(text_column, ' ');
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(word.size() + 1, text.size()));
        if (line.size() + 1 + word.size() > help_columns) {
            help += line + '\n';
            line.assign(text_column, ' ');
        }
        if (line.back() != ' ') line += ' ';
        line += word;
    }
    help += line + '\n';
}

std::string default_of(const OptionRow& row, const Settings& defaults) {
    if (!row.takes_value()) return {};
    const auto values = row.in_file() ? row.print(defaults) : std::vector<std::string>{};
    if (!values.empty()) return fmt::format(" (default: {})", values.front());
    return row.unset == "none" ? std::string{} : fmt::format(" (default: {})", row.unset);
}

void append_unset(std::string& text, const OptionRow& row) {
    // The endpoint by default is no value of --listen: sockets from systemd would then be foreign to it.
    const std::string_view value = row.name == "listen" ? default_endpoint : std::string_view{};
    text += fmt::format("# {} ={}{}  # default: {}\n", row.name, value.empty() ? "" : " ", value, row.unset);
}

}  // namespace

std::string print_config(const Settings& settings, const Origins& origins, const std::string& config_file) {
    std::string text;
    for (const OptionRow& row : option_table()) {
        if (!row.in_file()) continue;
        const auto values = row.print(settings);
        if (values.empty()) append_unset(text, row);
        for (std::size_t i = 0; i < values.size(); ++i)
            text += fmt::format("{} = {}  # {}\n", row.name, config_value(values[i]),
                                to_string(origin_of(origins, row.name, i)));
    }
    if (!config_file.empty())
        text +=
            fmt::format("# config = {}  # {}\n", config_value(config_file), to_string(origin_of(origins, "config")));
    if (!settings.program.empty()) {
        text += "# --";
        for (const auto& word : settings.program) text += ' ' + config_value(word);
        text += "  # command line\n";
    }
    return text;
}

std::string help_text(const std::string& default_handler) {
    const Settings defaults{.handler = default_handler};
    std::string help{help_head};
    std::string_view group;
    for (const OptionRow& row : option_table()) {
        if (row.group != group) {
            group = row.group;
            help += fmt::format("\n{}:\n", group);
        }
        const std::string letter = row.letter != 0 ? fmt::format("-{},", row.letter) : "   ";
        const std::string_view blank = row.takes_value() ? " " : "";
        append_entry(help, fmt::format("  {} --{}{}{}", letter, row.name, blank, row.argument),
                     std::string{row.meaning} + default_of(row, defaults));
    }
    help += help_endpoints;
    for (const ListenKey& key : listen_keys())
        append_entry(help, fmt::format("  {}={}", key.name, key.argument),
                     fmt::format("{}: {}", key.transports, key.meaning));
    help += help_sources;
    help += help_signals;
    return help;
}

}  // namespace preforkd
