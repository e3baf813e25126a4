#include "common/config/copy_values.hpp"

#include <fmt/core.h>

#include <array>
#include <csignal>

#include "common/base/parse_number.hpp"
#include "common/base/units.hpp"
#include "common/config/named_value.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr std::array<Named<RunMode>, 2> run_modes{{{"client", RunMode::Client}, {"pool", RunMode::Pool}}};
constexpr std::array<Named<PassStyle>, 4> pass_styles{{{"listen", PassStyle::Listen},
                                                       {"fd0", PassStyle::Fd0},
                                                       {"starter", PassStyle::Starter},
                                                       {"einhorn", PassStyle::Einhorn}}};
constexpr std::array<Named<int>, 7> program_signals{{{"TERM", SIGTERM},
                                                     {"QUIT", SIGQUIT},
                                                     {"INT", SIGINT},
                                                     {"HUP", SIGHUP},
                                                     {"USR1", SIGUSR1},
                                                     {"USR2", SIGUSR2},
                                                     {"WINCH", SIGWINCH}}};

}  // namespace

RunMode read_run_mode(std::string_view text) { return read_named(run_modes, text); }
std::string print(RunMode mode) { return std::string{name_of(run_modes, mode)}; }

PassStyle read_pass(std::string_view text) { return read_named(pass_styles, text); }
std::string print(PassStyle style) { return std::string{name_of(pass_styles, style)}; }

ReadyCheck read_ready(std::string_view text) {
    constexpr std::string_view alive = "alive:";
    constexpr std::string_view fd = "fd:";
    if (text == "notify") return {.kind = ReadyCheck::Kind::Notify};
    if (text.starts_with(alive))
        if (const auto time = parse_duration(text.substr(alive.size()))) return {.alive_for = *time};
    if (text.starts_with(fd))
        if (const auto number = parse_number<int>(text.substr(fd.size())); number && *number >= 3 && *number < 1024)
            return {.kind = ReadyCheck::Kind::Fd, .fd = *number};
    refuse_value("alive:TIME such as alive:1s, notify, or fd:N from fd:3 to fd:1023", text);
}

std::string print(const ReadyCheck& ready) {
    switch (ready.kind) {
        case ReadyCheck::Kind::Alive: return "alive:" + to_string(ready.alive_for);
        case ReadyCheck::Kind::Notify: return "notify";
        case ReadyCheck::Kind::Fd: return fmt::format("fd:{}", ready.fd);
    }
    return {};
}

int read_program_signal(std::string_view text) { return read_named(program_signals, text); }
std::string print_program_signal(int signo) { return std::string{name_of(program_signals, signo)}; }

}  // namespace preforkd
