#include "daemon/ctl/command_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "common/base/take_until.hpp"
#include "common/config/help_entry.hpp"

namespace preforkd {
namespace {

constexpr HelpColumns columns{.text = 25, .width = 100};

constexpr auto commands = std::to_array<CtlCommand>({
    {"status", "", "what the daemon is and does, and each listener and worker"},
    {"ready", "", "whether clients should be sent to it: a readiness probe"},
    {"workers", "N", "change the number of workers"},
    {"reload", "", "new workers with the settings of now; nothing changes where those are bad"},
    {"upgrade", "", "have the program file on disk take over, in place"},
    {"stop", "", "stop gracefully"},
    {"deaths", "", "the last 32 workers that died, and of what"},
    {"sources", "", "the 20 addresses with the most clients, and those refused, where these are limited"},
    {"explain", "", "what limits the service now, with what helps, and why workers died; fails if something does"},
    {"top", "",
     "a live screen: rates, queues, how long clients wait, workers by their processor time, the last deaths; q leaves"},
    {"send", "ENDPOINT [TEXT]",
     "send TEXT (`hello from client`), print the answer as it arrives. TEXT - is what standard input has; -- stands "
     "before a TEXT that begins with -."},
    {"certificate", "NAME...",
     "make a self-signed certificate for host names and IP addresses: NAME.pem and NAME.key, called after the first"},
    {"import", "PATH...",
     "write the services of xinetd.conf, xinetd.d or inetd.conf as a preforkd.conf, and name what it cannot hold"},
});

constexpr std::string_view of_daemon = "status ready workers reload upgrade stop deaths sources explain top";

constexpr auto options = std::to_array<CtlOption>({
    {"json", 0, "", "status deaths sources explain", "as JSON"},
    {"watch", 0, "", "status", "every second, until Ctrl-C or the daemon stops"},
    {"interval", 0, "TIME", "explain top", "from one look to the next (1s)"},
    {"batch", 'b', "", "top", "print each look below the last, without a terminal"},
    {"looks", 'n', "N", "top", "end after so many"},
    {"force", 0, "", "reload", "where too many workers are still draining, terminate the oldest"},
    {"control", 0, "ENDPOINT", of_daemon,
     "where the daemon listens: its --control (PREFORKD_CONTROL, else control.sock in $RUNTIME_DIRECTORY, else where "
     "one is found). Where several are, status and ready list them"},
    {"instance", 'i', "NAME", of_daemon,
     "the daemon that was started with this name, the instance preforkd@NAME, or the service NAME"},
    {"timeout", 0, "TIME", of_daemon,
     "how long to wait for an answer (5s; 5m for reload, upgrade and stop, which end when their outcome is known); 0 "
     "is for ever"},
    {"expect", 0, "TEXT", "send", "fail unless the answer contains TEXT, end once it does: a health check"},
    {"timeout", 0, "TIME", "send",
     "for the whole conversation (5s), such as 500ms or 1m30s; 0 is for ever. Waiting for standard input does not "
     "count."},
    {"no-reply", 0, "", "send", "udp, unixgram: do not wait for a reply"},
    {"verbose", 'v', "", "send", "tell addresses, times and bytes on standard error"},
    {"proxy", 0, "v1|v2", "send",
     "announce a client by a PROXY header before TEXT (and before TLS), as a balancer does; v2 for udp and unixgram"},
    {"proxy-source", 0, "ADDR:PORT", "send",
     "that client; without it nobody is announced (UNKNOWN, LOCAL), as by a balancer's own checks"},
    {"ca", 0, "FILE", "send", "tls: who is believed to be the server, instead of the system's authorities"},
    {"cert", 0, "FILE", "send", "tls: the certificate to show to a server that asks for one"},
    {"key", 0, "FILE", "send", "tls: its key (where it is not in the same file)"},
    {"servername", 0, "NAME", "send", "tls: whose certificate the server's has to be (HOST), and who is asked for"},
    {"alpn", 0, "NAME,...", "send", "tls: protocols to offer, such as h2,http/1.1"},
    {"insecure", 0, "", "send", "tls: believe any server"},
    {"days", 0, "N", "certificate", "how long it is valid (365)"},
    {"out", 0, "PREFIX", "certificate", "make PREFIX.pem and PREFIX.key instead"},
    {"help", 'h', "", "", "print this help, or that of the command, then exit"},
    {"version", 'V', "", "", "print the version, then exit"},
});

constexpr std::string_view of_send =
    "\ntcp and unix: the input ends with TEXT (half-close), the answer where the server ends it.\n"
    "tls and tls+unix: likewise, by a close_notify; an end without one is an error.\n"
    "udp and unixgram: TEXT is one datagram (udp: of at most 65507 bytes), the answer is the first reply.\n"
    "Several addresses of a host are tried in turn, each for a fair share of the time.\n"
    "\nEndpoints: tcp://HOST:PORT (:PORT for short), udp://HOST:PORT, unix:///path, unixgram:///path,\n"
    "unix://@abstract, unixgram://@abstract, tls://HOST:PORT, tls+unix:///path, tls+unix://@abstract.\n"
    "An empty HOST is this machine.\n";

constexpr std::string_view exit_codes =
    "\nExit codes: 0 answered (--no-reply: sent) or done; 1 no answer, not the expected one, refused or failed;\n"
    "64 usage; 65 import: written, but for what is named.\n";

std::string usage_of(const CtlCommand& command) {
    return fmt::format("{}{}{}", command.name, command.words.empty() ? "" : " ", command.words);
}

void append(std::string& help, const CtlOption& option) {
    const std::string letter = option.letter != 0 ? fmt::format("-{}, ", option.letter) : "    ";
    append_help_entry(
        help, fmt::format("  {}--{}{}{}", letter, option.name, option.argument.empty() ? "" : " ", option.argument),
        option.meaning, columns);
}

void append_options(std::string& help, std::string_view of_commands) {
    for (const CtlOption& option : options)
        if (option.commands == of_commands) append(help, option);
}

std::string help_of(const CtlCommand& command) {
    std::string help = fmt::format("Usage: preforkctl {} [OPTION...]\n\n", usage_of(command));
    append_help_entry(help, "", command.meaning, {.text = 0, .width = columns.width});
    help += '\n';
    for (const CtlOption& option : options)
        if (goes_with(option, command)) append(help, option);
    if (command.name == "send") help += of_send;
    return help;
}

}  // namespace

std::span<const CtlCommand> ctl_commands() noexcept { return commands; }
std::span<const CtlOption> ctl_options() noexcept { return options; }

const CtlCommand* find_ctl_command(std::string_view name) noexcept {
    const auto found = std::ranges::find(commands, name, &CtlCommand::name);
    return found == commands.end() ? nullptr : &*found;
}

bool goes_with(const CtlOption& option, const CtlCommand& command) noexcept {
    std::string_view left = option.commands;
    while (!left.empty())
        if (take_until(left, ' ') == command.name) return true;
    return option.commands.empty();
}

std::string ctl_help(const CtlCommand* command) {
    if (command != nullptr) return help_of(*command);
    std::string help = "Usage: preforkctl COMMAND [OPTION...]\n\n";
    for (const CtlCommand& each : commands) {
        if (each.name == "send") {
            help += "\nWith each of these:\n";
            append_options(help, of_daemon);
            help += '\n';
        }
        if (each.name == "certificate") help += '\n';
        append_help_entry(help, "  " + usage_of(each), each.meaning, columns);
        for (const CtlOption& option : options)
            if (option.commands != of_daemon && !option.commands.empty() && goes_with(option, each))
                append(help, option);
    }
    help += '\n';
    append_options(help, "");
    help += "\nOptions may also stand before the command.\n";
    help += of_send;
    help += exit_codes;
    return help;
}

}  // namespace preforkd
