#include "daemon/ctl/control_line.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "common/base/sys_error.hpp"
#include "common/base/units.hpp"
#include "daemon/ctl/dial.hpp"

namespace preforkd {
namespace {

std::string_view remedy_for(int error) {
    switch (error) {
        case ENOENT:
        case ECONNREFUSED: return "; is preforkd running, and with this --control?";
        case EACCES: return "; only root and the user of the daemon may ask it";
        case ENAMETOOLONG: return "; a socket path has at most 107 bytes";
        default: return "";
    }
}

/// Who has bound the socket: anybody can take an abstract name, or a path in a directory that all may write to.
/// Throws unless it is root, this user, or the owner of the directory, which a daemon's user is.
void check_listener(int socket, const Endpoint& control) {
    ucred listener{};
    socklen_t size = sizeof listener;
    check(::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &listener, &size), to_string(control));
    if (listener.uid == 0 || listener.uid == ::geteuid()) return;
    struct stat directory {};
    const std::string parent = std::filesystem::absolute(control.path).parent_path();
    if (!control.abstract && ::stat(parent.c_str(), &directory) == 0 && directory.st_uid == listener.uid) return;
    throw std::runtime_error{fmt::format(
        "{}: it belongs to a process of user {}, which is not trusted: neither root, nor you, nor the owner of its "
        "directory; ask as that user",
        to_string(control), listener.uid)};
}

bool is_end(int error) noexcept { return error == EPIPE || error == ECONNRESET; }

/// It changes something, maybe after all; else it only asks.
bool is_order(ControlCommand command) noexcept {
    switch (command) {
        case ControlCommand::Workers:
        case ControlCommand::Reload:
        case ControlCommand::Upgrade:
        case ControlCommand::Stop: return true;
        case ControlCommand::Status:
        case ControlCommand::Deaths:
        case ControlCommand::Ready:
        case ControlCommand::Sources: break;
    }
    return false;
}

ControlAnswer answer_to(ControlCommand command, ControlLine& line) {
    ControlAnswer answer = line.ask_again({.command = command});
    if (answer.stopped) throw DaemonStopped{answer.outcome.sentence};
    if (!answer.outcome.ok) throw std::runtime_error{answer.outcome.sentence};
    return answer;
}

}  // namespace

ControlLine::ControlLine(const Endpoint& control, std::chrono::milliseconds timeout)
    : control_{control}, timeout_{timeout} {
    try {
        socket_ = connect_within(Patience{timeout}.until(), resolve(control).at(0), SOCK_STREAM);
        check_listener(socket_.get(), control);
    } catch (const std::system_error& error) {
        throw std::runtime_error{
            fmt::format("{}: {}{}", to_string(control), error.code().message(), remedy_for(error.code().value()))};
    }
}

void ControlLine::tell(const ControlRequest& request) {
    const std::string line = to_json(request) + '\n';
    // One that has turned us away already has said why, which is still to be read.
    if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) == -1 && !is_end(errno))
        throw_errno(to_string(control_));
}

ControlAnswer ControlLine::ask(const ControlRequest& request) {
    tell(request);
    const Patience patience{timeout_};
    for (;;) {
        if (auto answer = next()) return std::move(*answer);
        pollfd watched{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (!wait_until(patience.until(), {&watched, 1}))
            throw std::runtime_error{fmt::format(
                "{}: no answer within --timeout {}: {}", to_string(control_), to_string(timeout_),
                is_order(request.command) ? "the outcome is unknown" : "the daemon hangs, or was stopped by a signal")};
    }
}

ControlAnswer ControlLine::ask_again(const ControlRequest& request) {
    try {
        return ask(request);
    } catch (const ConversationEnded&) { *this = ControlLine{control_, timeout_}; }
    return ask(request);
}

std::optional<ControlAnswer> ControlLine::next() {
    do {
        const std::size_t end = heard_.find('\n');
        if (end == heard_.npos) continue;
        const std::string answer = heard_.substr(0, end);
        heard_.erase(0, end + 1);
        return parse_control_answer(answer);
    } while (hear());
    return std::nullopt;
}

void ControlLine::pause(std::chrono::milliseconds length) const {
    pollfd watched{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    const auto until = Clock::now() + length;
    char any;
    // Of an end there is nothing to be heard: who came back at once would only displace the next.
    if (wait_until(until, {&watched, 1}) && ::recv(socket_.get(), &any, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        (void)wait_until(until, {});
}

bool ControlLine::hear() {
    std::array<char, 65536> bytes;
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got == 0 || (got == -1 && is_end(errno))) throw ConversationEnded{control_};
    if (got == -1 && errno != EAGAIN && errno != EINTR) throw_errno(to_string(control_));
    if (got > 0) heard_.append(bytes.data(), static_cast<std::size_t>(got));
    return got > 0;
}

StatusReport ask_status(ControlLine& line) { return parse_status(answer_to(ControlCommand::Status, line).status); }

DeathRing ask_deaths(ControlLine& line) { return parse_deaths(answer_to(ControlCommand::Deaths, line).deaths); }

}  // namespace preforkd
