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
#include "daemon/ctl/options_send.hpp"

namespace preforkd {

namespace {

constexpr int failed = 1;
constexpr int usage_error = 64;  // EX_USAGE, sysexits.h

constexpr const char* usage =
    "Usage: preforkctl send ENDPOINT [TEXT] [OPTION...]\n"
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
    "Exit codes: 0 answered (--no-reply: sent), 1 no answer or not the expected one, 64 usage.\n";

int print(const std::string& text) {
    return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : failed;
}

/// Whether help is asked for anywhere: whoever forgets how a command goes on writes it behind what he has.
bool asks_for_help(const std::vector<std::string>& arguments) {
    const auto end = std::ranges::find(arguments, "--");
    return std::any_of(arguments.begin(), end, [](const auto& word) { return word == "--help" || word == "-h"; });
}

[[noreturn]] void refuse_command(const std::string& word) {
    constexpr std::array<std::string_view, 4> known{"send", "help", "--help", "--version"};
    if (word.find("://") != std::string::npos || word.starts_with(':'))
        throw std::invalid_argument{fmt::format("say what to do with {0}: preforkctl send {0}", printable(word))};
    if (const auto nearest = nearest_name(word, known))
        throw std::invalid_argument{fmt::format("unknown command {}; did you mean {}?", in_quotes(word), *nearest)};
    if (word.starts_with('-'))
        throw std::invalid_argument{
            fmt::format("{} stands before the command; write preforkctl send ENDPOINT [OPTION...]", in_quotes(word))};
    throw std::invalid_argument{
        fmt::format("unknown command {}; there is send; see preforkctl --help", in_quotes(word))};
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.empty())
        throw std::invalid_argument{"say what to do: preforkctl send ENDPOINT; see preforkctl --help"};
    if (asks_for_help(arguments) || arguments[0] == "help") return print(usage);
    if (arguments[0] == "--version") return print("preforkctl " PREFORKD_VERSION "\n");
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
