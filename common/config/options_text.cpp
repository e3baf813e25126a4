#include "common/config/options_text.hpp"

#include <fmt/core.h>

#include "common/base/version.hpp"
#include "common/config/config_file.hpp"
#include "common/config/help_entry.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/options.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

constexpr HelpColumns columns{.text = 32, .width = 100};

constexpr std::string_view help_head =
    " [OPTION...] [-- PROGRAM [ARG...]]\n"
    "Serves clients from a pool of pre-forked workers; with PROGRAM, runs it for each connection.\n";

constexpr std::string_view help_endpoints =
    "\nEndpoints:\n"
    "  tcp://HOST:PORT, udp://HOST:PORT  an empty HOST is every address, IPv4 and IPv6; an IPv6 address\n"
    "                                    stands in brackets; port 0 is any free one; :PORT is tcp://:PORT\n"
    "  unix:///PATH, unixgram:///PATH    a socket file; unix://@NAME is abstract, without a file\n"
    "  fd://NAME                         a socket that systemd passes by this name\n"
    "  tls://HOST:PORT, tls+unix:///PATH, tls+fd://NAME\n"
    "                                    TLS at one of tcp, unix, fd, whose settings it has, too\n"
    "\nSettings of one endpoint, behind it in the same argument: --listen 'tcp://:7 handler=echo':\n";

constexpr std::string_view help_sources =
    "\nEach option can also be given in the environment, as PREFORKD_IDLE_TIMEOUT=30s (several endpoints\n"
    "or paths: one a line; an empty variable says nothing), and in the file of --config, as a line\n"
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

std::string default_of(const OptionRow& row, const Settings& defaults) {
    if (!row.takes_value()) return {};
    const auto values = row.in_file() ? row.values(defaults) : std::vector<std::string>{};
    if (!values.empty()) return fmt::format(" (default: {})", values.front());
    return row.unset == "none" ? std::string{} : fmt::format(" (default: {})", row.unset);
}

bool has(const Program& program, const OptionRow& row) { return program.greets || row.name != "greeting"; }

void append_unset(std::string& text, const OptionRow& row) {
    // The endpoint by default is no value of --listen: sockets from systemd would then be foreign to it.
    const std::string_view value = row.name == "listen" ? default_endpoint : std::string_view{};
    text += fmt::format("# {} ={}{}  # default: {}\n", row.name, value.empty() ? "" : " ", value, row.unset);
}

}  // namespace

std::string print_config(const Settings& settings, const Origins& origins, const std::string& config_file,
                         const Program& program) {
    std::string text;
    for (const OptionRow& row : program.options.rows()) {
        if (!row.in_file() || !has(program, row)) continue;
        const auto values = row.values(settings);
        if (values.empty()) append_unset(text, row);
        for (std::size_t i = 0; i < values.size(); ++i)
            text += fmt::format("{} = {}  # {}\n", row.name, config_value(values[i]),
                                to_string(origin_of(origins, row.name, i)));
    }
    if (!config_file.empty())
        text +=
            fmt::format("# config = {}  # {}\n", config_value(config_file), to_string(origin_of(origins, "config")));
    return text;
}

std::string help_text(const Program& program) {
    const Settings defaults{.handler = program.handler};
    std::string help = fmt::format("Usage: {}{}", program.name, help_head);
    std::string_view group;
    for (const OptionRow& row : program.options.rows()) {
        if (!has(program, row)) continue;
        if (row.group != group) {
            group = row.group;
            help += fmt::format("\n{}:\n", group);
        }
        const std::string letter = row.letter != 0 ? fmt::format("-{},", row.letter) : "   ";
        const std::string_view blank = row.takes_value() ? " " : "";
        append_help_entry(help, fmt::format("  {} --{}{}{}", letter, row.name, blank, row.argument),
                          std::string{row.meaning} + default_of(row, defaults), columns);
    }
    help += help_endpoints;
    for (const ListenKey& key : listen_keys())
        append_help_entry(help, fmt::format("  {}={}", key.name, key.argument),
                          fmt::format("{}: {}", key.transports, key.meaning), columns);
    help += help_sources;
    help += help_signals;
    return help;
}

std::string version_text(const Program& program) {
    if (program.name == Program{}.name && program.version.empty()) return fmt::format("preforkd {}\n", version());
    const char* const blank = program.version.empty() ? "" : " ";
    return fmt::format("{}{}{} (preforkd {})\n", program.name, blank, program.version, version());
}

}  // namespace preforkd
