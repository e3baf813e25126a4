#include "daemon/worker/program/notify_listener.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "common/base/passed_descriptors.hpp"
#include "common/base/sys_error.hpp"
#include "common/process/proc_stat.hpp"

namespace preforkd {

namespace {

struct Message {
    std::string text{};
    pid_t sender = 0;
};

/// nullopt: nothing is there.
std::optional<Message> receive_message(int socket) {
    std::array<char, 4096> text;
    // As many descriptors as may come at once, SCM_MAX_FD: what does not fit would be closed by the kernel anyway.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(253 * sizeof(int))> control;
    iovec part{.iov_base = text.data(), .iov_len = text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t size;
    do size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size == -1 && errno == EINTR);
    if (size == -1) return std::nullopt;
    (void)received_descriptors(header);  // closes them
    Message message{.text = {text.data(), static_cast<std::size_t>(size)}};
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_CREDENTIALS) continue;
        ucred credentials{};
        std::memcpy(&credentials, CMSG_DATA(each), sizeof credentials);
        message.sender = credentials.pid;
    }
    return message;
}

}  // namespace

NotifyListener::NotifyListener()
    : socket_{check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "open a notification socket")} {
    const int yes = 1;
    check(::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), "ask who notifies");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // Without a name the kernel gives it one.  Source: autobind, unix(7).
    check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)),
          "name a notification socket");
    socklen_t size = sizeof address;
    check(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), "name a notification socket");
    const std::size_t before_name = offsetof(sockaddr_un, sun_path) + 1;
    address_ = '@' + std::string{address.sun_path + 1, size - before_name};
}

std::optional<std::string> NotifyListener::receive() {
    while (std::optional<Message> message = receive_message(socket_.get()))
        if (is_below_us(message->sender)) return std::move(message->text);
    return std::nullopt;
}

bool is_below_us(pid_t pid) {
    constexpr int parent_field = 4;
    constexpr int deepest = 1000;
    for (int level = 0; level < deepest && pid > 1; ++level) {
        const auto stat = ProcStat::of(pid);
        const auto parent = stat ? stat->field(parent_field) : std::nullopt;
        if (!parent) return false;
        pid = static_cast<pid_t>(*parent);
        if (pid == ::getpid()) return true;
    }
    return false;
}

}  // namespace preforkd
