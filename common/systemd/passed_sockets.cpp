#include "common/systemd/passed_sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

#include "common/base/operator_error.hpp"
#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {
namespace {

/// Of the descriptors that LISTEN_FDS promises, the first that was not open: it may be our own by now.
std::optional<int> first_not_passed;

[[noreturn]] void refuse(const std::string& sentence) { throw OperatorError{ExitCode::Configuration, sentence}; }

std::optional<std::string> variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>{value};
}

std::optional<int> positive_number(std::string_view text) noexcept {
    const auto number = parse_number<int>(text);
    return number && *number > 0 ? number : std::nullopt;
}

struct ListenVariables {
    std::optional<std::string> pid = variable("LISTEN_PID");
    std::optional<std::string> count = variable("LISTEN_FDS");
    std::optional<std::string> names = variable("LISTEN_FDNAMES");
};

/// Why the library took nothing although the variables promise something.  `result`: 0, it was not for us; or a
/// negative error number.
[[noreturn]] void explain(const ListenVariables& said, int result) {
    if (!positive_number(*said.pid))
        refuse(fmt::format("LISTEN_PID={} is not a process id; let systemd set it, or unset LISTEN_PID and LISTEN_FDS",
                           printable(*said.pid)));
    if (result == 0) {
        const std::string own = std::to_string(::getpid());  // LISTEN_PIDFDID: systemd 259
        refuse(
            fmt::format("{} is not this process ({}): the sockets were passed to another; let the unit start "
                        "preforkd directly or by `exec`, or unset LISTEN_PID and LISTEN_FDS",
                        *said.pid == own ? "LISTEN_PIDFDID" : "LISTEN_PID=" + *said.pid, own));
    }
    if (!positive_number(*said.count))
        refuse(fmt::format("LISTEN_FDS={} is not a number of sockets; let systemd set it, or unset it",
                           printable(*said.count)));
    if (first_not_passed)
        refuse(
            fmt::format("LISTEN_FDS={} does not fit what was passed: descriptor {} is not open; let systemd set it, or "
                        "unset it",
                        *said.count, *first_not_passed));
    if (said.names)
        refuse(fmt::format(
            "LISTEN_FDNAMES={} does not name as many sockets as LISTEN_FDS={} says; give each one a name, or unset it",
            printable(*said.names), *said.count));
    throw std::system_error{-result, std::generic_category(), "take the sockets that systemd passed"};
}

int option_of(int fd, int level, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, option, &value, &size) == 0 ? value : -1;
}

}  // namespace

void note_passed_descriptors() noexcept {
    first_not_passed.reset();
    const char* const said = std::getenv("LISTEN_FDS");
    const int count = positive_number(said != nullptr ? said : "").value_or(0);
    for (int each = 0; each < count; ++each)
        if (::fcntl(SD_LISTEN_FDS_START + each, F_GETFD) == -1) {
            first_not_passed = SD_LISTEN_FDS_START + each;
            return;
        }
}

std::string flaw_of(const Libsystemd& systemd, int fd) {
    if (systemd.is_socket(fd, AF_UNSPEC, 0, -1) <= 0) return "is not a socket: list only sockets in its .socket unit";
    const bool stream = systemd.is_socket(fd, AF_UNSPEC, SOCK_STREAM, -1) > 0;
    const bool datagram = systemd.is_socket(fd, AF_UNSPEC, SOCK_DGRAM, -1) > 0;
    const bool ip = systemd.is_socket_inet(fd, AF_UNSPEC, 0, -1, 0) > 0;
    const int protocol = option_of(fd, SOL_SOCKET, SO_PROTOCOL);
    const bool ip_served = stream ? protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP : protocol == IPPROTO_UDP;
    if ((!stream && !datagram) || (ip ? !ip_served : systemd.is_socket_unix(fd, 0, -1, nullptr, 0) <= 0))
        return fmt::format(
            "is of a kind that is not served (family {}, type {}, protocol {}): use ListenStream= or "
            "ListenDatagram= with an IP address or a path",
            option_of(fd, SOL_SOCKET, SO_DOMAIN), option_of(fd, SOL_SOCKET, SO_TYPE), protocol);
    if (stream && systemd.is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
        return "is not listening: a connection, perhaps; use Accept=no in its .socket unit";
    if (ip && SocketAddress::local_of(fd).port() == 0) return "is not bound to an address";
    return {};
}

std::vector<PassedSocket> take_passed_sockets() {
    const ListenVariables said;
    if (!said.count) return {};  // nothing was passed, whatever LISTEN_PID says
    const Libsystemd systemd;
    char** names = nullptr;
    const int count = systemd.listen_fds_with_names(1, &names);
    if (!said.pid) return {};
    if (count <= 0 || first_not_passed) explain(said, count);
    std::vector<PassedSocket> passed;
    for (int each = 0; each < count; ++each) {
        const int fd = SD_LISTEN_FDS_START + each;
        passed.push_back({.fd = UniqueFd{fd}, .name = names[each], .flaw = flaw_of(systemd, fd)});
        std::free(names[each]);
    }
    std::free(names);
    return passed;
}

}  // namespace preforkd
