#include "daemon/ctl/ctl.hpp"

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "daemon/ctl/options_send.hpp"

namespace preforkd {

namespace {

constexpr int failed = 1;
constexpr int usage_error = 64;  // EX_USAGE, sysexits.h

constexpr const char* usage =
    "Usage: preforkctl send ENDPOINT [TEXT] [--expect TEXT] [--timeout TIME]\n"
    "\n"
    "  send ENDPOINT [TEXT]   connect, send TEXT (`hello from client`), half-close, print the answer\n"
    "      --expect TEXT      fail unless the answer contains TEXT: a health check\n"
    "      --timeout TIME     for the whole conversation (5s); 0 is for ever\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "Endpoints: tcp://HOST:PORT, unix:///path, unix://@abstract.  An empty HOST is this machine.\n"
    "Exit codes: 0 answered, 1 no answer or not the expected one, 64 usage.\n";

int send(const std::vector<std::string>& arguments) {
    const std::string answer = send_and_receive(read_send_options(arguments));
    std::fwrite(answer.data(), 1, answer.size(), stdout);
    return std::fflush(stdout) == 0 ? 0 : failed;
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.empty()) throw std::invalid_argument{"say what to do; see --help"};
    if (arguments[0] == "--help" || arguments[0] == "-h") return std::fputs(usage, stdout) >= 0 ? 0 : failed;
    if (arguments[0] == "--version") return std::puts("preforkctl " PREFORKD_VERSION) >= 0 ? 0 : failed;
    if (arguments[0] == "send") return send({arguments.begin() + 1, arguments.end()});
    throw std::invalid_argument{"unknown command; see --help"};
}

}  // namespace

int run_ctl(int argc, char** argv) noexcept {
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "preforkctl: %s\n", error.what());
        return usage_error;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "preforkctl: %s\n", error.what());
        return failed;
    }
}

}  // namespace preforkd
