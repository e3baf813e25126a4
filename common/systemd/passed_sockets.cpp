#include "common/systemd/passed_sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

constexpr int first_passed_fd = 3;  // SD_LISTEN_FDS_START

/// From here on a descriptor is this process's own, whatever LISTEN_FDS says.
int first_not_passed = std::numeric_limits<int>::max();

[[noreturn]] void refuse(const std::string& sentence) { throw OperatorError{ExitCode::Configuration, sentence}; }

std::optional<std::string> variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>{value};
}

std::optional<int> positive_number(std::string_view text) noexcept {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && number > 0 ? std::optional{number} : std::nullopt;
}

/// Split at colons, which no name has: systemd checks.
std::vector<std::string> names_in(std::string_view text) {
    std::vector<std::string> names;
    for (;;) {
        const auto colon = text.find(':');
        names.emplace_back(text.substr(0, colon));
        if (colon == text.npos) return names;
        text.remove_prefix(colon + 1);
    }
}

struct ListenVariables {
    std::optional<std::string> pid = variable("LISTEN_PID");
    std::optional<std::string> count = variable("LISTEN_FDS");
    std::optional<std::string> names = variable("LISTEN_FDNAMES");
};

/// systemd's own library would silently take them for nobody's.  Without LISTEN_FDS nothing was passed, whoever it was
/// meant for.
void check_recipient(const ListenVariables& said) {
    if (!said.pid || !said.count || std::to_string(::getpid()) == *said.pid) return;
    if (!positive_number(*said.pid))
        refuse(fmt::format("LISTEN_PID={} is not a process id; let systemd set it, or unset LISTEN_PID and LISTEN_FDS",
                           printable(*said.pid)));
    refuse(
        fmt::format("LISTEN_PID={} is not this process ({}): the sockets were passed to another; let the unit start "
                    "preforkd directly or by `exec`, or unset LISTEN_PID and LISTEN_FDS",
                    *said.pid, ::getpid()));
}

}  // namespace

void note_passed_descriptors() noexcept {
    const char* const said = std::getenv("LISTEN_FDS");
    const int count = positive_number(said != nullptr ? said : "").value_or(0);
    for (int each = 0; each < count; ++each)
        if (::fcntl(first_passed_fd + each, F_GETFD) == -1) {
            first_not_passed = first_passed_fd + each;
            return;
        }
}

// Not libsystemd's: with it came six libraries that nothing else here uses, and mapping them cost each fork 45 µs of
// 165.  Source: sd_listen_fds(3); systemd, src/libsystemd/sd-daemon/sd-daemon.c.
std::vector<PassedSocket> take_passed_sockets() {
    const ListenVariables said;
    check_recipient(said);
    // LISTEN_PIDFDID: systemd 259.
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}) ::unsetenv(name);
    if (!said.pid || !said.count) return {};

    const auto count = positive_number(*said.count);
    if (!count)
        refuse(fmt::format("LISTEN_FDS={} is not a number of sockets; let systemd set it, or unset it", *said.count));
    std::vector<PassedSocket> passed;
    for (int each = 0; each < *count; ++each) {
        const int fd = first_passed_fd + each;
        if (fd >= first_not_passed || ::fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
            refuse(
                fmt::format("LISTEN_FDS={} does not fit what was passed: descriptor {} is not open; let systemd set "
                            "it, or unset it",
                            *count, fd));
        passed.push_back({.fd = UniqueFd{fd}, .name = "unknown"});
    }
    if (!said.names) return passed;

    std::vector<std::string> names = names_in(*said.names);
    if (names.size() != passed.size())
        refuse(fmt::format(
            "LISTEN_FDNAMES={} does not name as many sockets as LISTEN_FDS={} says; give each one a name, or unset it",
            *said.names, *count));
    for (std::size_t each = 0; each < passed.size(); ++each) passed[each].name = std::move(names[each]);
    return passed;
}

}  // namespace preforkd
