#include "common/systemd/systemd_notify.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/parse_number.hpp"
#include "common/base/passed_descriptors.hpp"
#include "common/systemd/libsystemd.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// A variable's value, which is gone from the environment afterwards.
std::string take_variable(const char* name) {
    const char* const variable = std::getenv(name);
    std::string value{variable != nullptr ? variable : ""};
    ::unsetenv(name);
    return value;
}

/// Half of what WATCHDOG_USEC says, an hour at most, which can be added to any time; the variables are gone afterwards.
std::optional<std::chrono::microseconds> take_watchdog_period() {
    if (std::getenv("NOTIFY_SOCKET") == nullptr && std::getenv("WATCHDOG_USEC") == nullptr) return std::nullopt;
    std::uint64_t usec = 0;
    if (Libsystemd{}.watchdog_enabled(1, &usec) <= 0) return std::nullopt;
    return std::clamp(std::chrono::microseconds{usec / 2}, 1us, std::chrono::microseconds{1h});
}

/// A status is one line: a line break in it would be read as another assignment.
std::string status_line(std::string_view text) {
    std::string line{"STATUS="};
    std::transform(text.begin(), text.end(), std::back_inserter(line), [](char c) {
        const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
        return control ? ' ' : c;
    });
    return line;
}

}  // namespace

SystemdNotify::SystemdNotify() {
    const auto period = take_watchdog_period();
    socket_ = take_variable("NOTIFY_SOCKET");
    // A path or an abstract name; what systemd 253 calls vsock: is for virtual machines.
    const bool addressed = socket_.size() > 1 && (socket_.front() == '/' || socket_.front() == '@');
    if (!addressed || socket_.size() >= sizeof(::sockaddr_un::sun_path)) socket_.clear();
    const std::string store = take_variable("FDSTORE");
    if (!active()) return;
    watchdog_period_ = period;
    store_limit_ = static_cast<std::size_t>(parse_number<std::uint64_t>(store).value_or(0));
}

bool SystemdNotify::active() const noexcept { return !socket_.empty(); }

std::optional<std::chrono::microseconds> SystemdNotify::watchdog_period() const noexcept { return watchdog_period_; }

void SystemdNotify::ready(std::string_view status) {
    last_status_ = status;
    announce("READY=1\n" + status_line(status));
}

void SystemdNotify::reloading() {
    // Both in one datagram: without the time, systemctl reload waits for its timeout (Type=notify-reload, systemd 253).
    ::timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t usec = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
    announce("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
}

void SystemdNotify::stopping() { announce("STOPPING=1"); }

void SystemdNotify::status(std::string_view text) {
    if (!active() || text == last_status_) return;
    if (send(status_line(text))) last_status_ = text;
}

void SystemdNotify::watchdog() { send("WATCHDOG=1"); }

void SystemdNotify::extend_timeout(std::chrono::microseconds by) {
    send("EXTEND_TIMEOUT_USEC=" + std::to_string(by.count()));
}

// FDPOLL=0: systemd is not to drop a socket because of an error that is pending on it.  Source: sd_notify(3).
void SystemdNotify::store(std::string_view name, int fd) {
    if (!active()) return;
    Message message{.text = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + std::string{name},
                    .fd = UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)}};
    if (message.fd) deliver(std::move(message));
}

void SystemdNotify::forget(std::string_view name) {
    if (active()) deliver({.text = "FDSTOREREMOVE=1\nFDNAME=" + std::string{name}});
}

void SystemdNotify::deliver(Message message) {
    undelivered_.push_back(std::move(message));
    flush();
}

bool SystemdNotify::flush() {
    while (!undelivered_.empty()) {
        if (send_datagram(undelivered_.front().text, undelivered_.front().fd.get()) == Sent::QueueFull) return false;
        undelivered_.erase(undelivered_.begin());
    }
    if (unsent_state_.empty()) return true;
    if (send_datagram(unsent_state_) == Sent::QueueFull) return false;
    unsent_state_.clear();
    return true;
}

/// A state takes the place of one that was kept: systemd needs to know where we are, not where we were.
void SystemdNotify::announce(std::string state) {
    unsent_state_ = std::move(state);
    flush();
}

bool SystemdNotify::send(std::string_view message) { return flush() && send_datagram(message) == Sent::Yes; }

// Not sd_pid_notify_with_fds(3): its socket blocks, so that a service manager that does not read would stop the master.
// The protocol is one datagram.
// Source: sd_notify(3), NOTES; systemd, src/libsystemd/sd-daemon/sd-daemon.c.
SystemdNotify::Sent SystemdNotify::send_datagram(std::string_view message, int fd) const {
    if (!active()) return Sent::No;
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    if (socket_.front() == '@') address.sun_path[0] = '\0';
    ::iovec text{.iov_base = const_cast<char*>(message.data()), .iov_len = message.size()};
    ::msghdr datagram{};
    datagram.msg_name = &address;
    // An abstract name ends with the address, not with a zero: the length must be exact.  Source: unix(7).
    datagram.msg_namelen = static_cast<::socklen_t>(offsetof(::sockaddr_un, sun_path) + socket_.size());
    datagram.msg_iov = &text;
    datagram.msg_iovlen = 1;
    const PassedDescriptors<1> passed{datagram, std::span{&fd, fd >= 0 ? 1U : 0U}};
    const UniqueFd sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!sender) return Sent::No;
    if (::sendmsg(sender.get(), &datagram, MSG_DONTWAIT | MSG_NOSIGNAL) != -1) return Sent::Yes;
    return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? Sent::QueueFull : Sent::No;
}

}  // namespace preforkd
