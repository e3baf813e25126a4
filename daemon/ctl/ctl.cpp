#include "daemon/ctl/ctl.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/descriptors.hpp"
#include "common/nearest_name.hpp"
#include "common/quoted.hpp"
#include "common/version.hpp"
#include "daemon/ctl/options_control.hpp"
#include "daemon/ctl/options_send.hpp"

namespace preforkd {

namespace {

constexpr int failed = 1;
constexpr int usage_error = 64;  // EX_USAGE, sysexits.h

constexpr const char* usage =
    "Usage: preforkctl send ENDPOINT [TEXT] [OPTION...]\n"
    "       preforkctl COMMAND [OPTION...]\n"
    "\n"
    "  status                 what the daemon is and does, and each listener and worker\n"
    "      --json             as one JSON object\n"
    "      --watch            every second, until Ctrl-C or the daemon stops\n"
    "  ready                  whether clients should be sent to it: a readiness probe\n"
    "  workers N              change the number of workers\n"
    "  reload                 new workers with the settings of now; nothing changes where those are bad\n"
    "      --force            end the oldest workers that are still leaving\n"
    "  upgrade                the same with the binary of now, in place\n"
    "  stop                   stop gracefully\n"
    "  deaths                 the last 32 workers that died, and of what\n"
    "      --json             as one JSON array\n"
    "\n"
    "      --control ENDPOINT where the daemon listens: its --control (PREFORKD_CONTROL, else control.sock in\n"
    "                         $RUNTIME_DIRECTORY, else unix:///run/preforkd/control.sock)\n"
    "      --timeout TIME     how long to wait for an answer (5s; 5m for reload, upgrade and stop, which end when\n"
    "                         their outcome is known); 0 is for ever\n"
    "\n"
    "  send ENDPOINT [TEXT]   send TEXT (`hello from client`), print the answer as it arrives.\n"
    "                         TEXT - is what standard input has; -- stands before a TEXT that begins with -.\n"
    "      --expect TEXT      fail unless the answer contains TEXT, end once it does: a health check\n"
    "      --timeout TIME     for the whole conversation (5s), such as 500ms or 1m30s; 0 is for ever.\n"
    "                         Waiting for standard input does not count.\n"
    "      --no-reply         udp, unixgram: do not wait for a reply\n"
    "      --verbose          tell addresses, times and bytes on standard error\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "tcp and unix: the input ends with TEXT (half-close), the answer where the server ends it.\n"
    "udp and unixgram: TEXT is one datagram (udp: of at most 65507 bytes), the answer is the first reply.\n"
    "Several addresses of a host are tried in turn, each for a fair share of the time.\n"
    "\n"
    "Endpoints: tcp://HOST:PORT (:PORT for short), udp://HOST:PORT, unix:///path, unixgram:///path, unix://@abstract,\n"
    "unixgram://@abstract.  An empty HOST is this machine.\n"
    "Exit codes: 0 answered (--no-reply: sent) or done, 1 no answer, not the expected one, refused or failed, 64 "
    "usage.\n";

int print(const std::string& text) {
    return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : failed;
}

/// Whether help is asked for anywhere: whoever forgets how a command goes on writes it behind what he has.
bool asks_for_help(const std::vector<std::string>& arguments) {
    const auto end = std::ranges::find(arguments, "--");
    return std::any_of(arguments.begin(), end, [](const auto& word) { return word == "--help" || word == "-h"; });
}

bool is_control_command(const std::string& word) { return std::ranges::count(control_command_names, word) != 0; }

[[noreturn]] void refuse_command(const std::string& word) {
    constexpr std::array<std::string_view, 11> known{"send", "status", "ready", "workers", "reload",   "upgrade",
                                                     "stop", "deaths", "help",  "--help",  "--version"};
    if (word.find("://") != std::string::npos || word.starts_with(':'))
        throw std::invalid_argument{fmt::format("say what to do with {0}: preforkctl send {0}", printable(word))};
    if (const auto nearest = nearest_name(word, known))
        throw std::invalid_argument{fmt::format("unknown command {}; did you mean {}?", in_quotes(word), *nearest)};
    if (word.starts_with('-'))
        throw std::invalid_argument{
            fmt::format("{} stands before the command; write preforkctl send ENDPOINT [OPTION...]", in_quotes(word))};
    throw std::invalid_argument{fmt::format(
        "unknown command {}; there are send and status, among others; see preforkctl --help", in_quotes(word))};
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.empty()) throw std::invalid_argument{"say what to do: preforkctl status; see preforkctl --help"};
    if (asks_for_help(arguments) || arguments[0] == "help") return print(usage);
    if (arguments[0] == "--version") return print(std::string{"preforkctl "} + version() + "\n");
    if (is_control_command(arguments[0])) {
        control(read_control_options(arguments));
        return 0;
    }
    if (arguments[0] != "send") refuse_command(arguments[0]);
    send(read_send_options({arguments.begin() + 1, arguments.end()}), SendChannels{});
    return 0;
}

}  // namespace

int run_ctl(int argc, char** argv) noexcept {
    try {
        open_standard_descriptors();
        return run({argv + std::min(argc, 1), argv + argc});
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "preforkctl: %s\n", error.what());
        return usage_error;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "preforkctl: %s\n", error.what());
        return failed;
    }
}

}  // namespace preforkd
