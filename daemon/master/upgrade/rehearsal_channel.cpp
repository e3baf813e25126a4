#include "daemon/master/upgrade/rehearsal_channel.hpp"

#include <fmt/format.h>
#include <limits.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "common/base/passed_descriptors.hpp"
#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

constexpr std::size_t most_in_a_packet = 253;  // SCM_MAX_FD, unix(7)

/// How many descriptors are still to come behind it, and some.
struct Message {
    int left = 0;
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * most_in_a_packet)> control{};
    iovec part{&left, sizeof left};
    msghdr header{};

    Message() {
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
};

}  // namespace

RehearsalChannel open_rehearsal_channel() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "open a socket for the rehearsal");
    return {.master = UniqueFd{ends[0]}, .child = UniqueFd{ends[1]}};
}

std::string to_hello(FormatRange formats) {
    return fmt::format("preforkd reads {} to {}", formats.oldest, formats.newest);
}

std::optional<FormatRange> parse_hello(const std::string& packet) {
    FormatRange formats;
    if (std::sscanf(packet.c_str(), "preforkd reads %d to %d", &formats.oldest, &formats.newest) != 2)
        return std::nullopt;
    return formats;
}

void write_packet(int fd, std::string_view text) noexcept {
    (void)!::write(fd, text.data(), text.substr(0, PIPE_BUF).size());
}

void give_verdict(int child, std::string_view verdict) noexcept {
    write_packet(child, verdict);
    char nothing = 0;
    while (::read(child, &nothing, 1) > 0) continue;
}

std::optional<std::string> read_packet(int master) {
    std::array<char, PIPE_BUF> space{};
    ssize_t size;
    // ECONNRESET: it has left packets of ours unread; its own are still to come.
    do size = ::recv(master, space.data(), space.size(), MSG_DONTWAIT);
    while (size == -1 && (errno == EINTR || errno == ECONNRESET));
    if (size == -1) return std::nullopt;
    return std::string{space.data(), static_cast<std::size_t>(size)};
}

void send_descriptors(int master, std::span<const int> descriptors) {
    while (!descriptors.empty()) {
        const std::span<const int> now = descriptors.first(std::min(descriptors.size(), most_in_a_packet));
        descriptors = descriptors.subspan(now.size());
        int left = static_cast<int>(descriptors.size());
        iovec part{&left, sizeof left};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const PassedDescriptors<most_in_a_packet> passed{message, now};
        if (::sendmsg(master, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != -1) continue;
        if (errno == EPIPE || errno == ECONNRESET) return;
        throw_errno("pass the sockets to the rehearsal");
    }
}

std::vector<UniqueFd> receive_descriptors(int child) {
    std::vector<UniqueFd> passed;
    for (int left = 1; left > 0;) {
        Message message;
        const int size = check(static_cast<int>(::recvmsg(child, &message.header, MSG_CMSG_CLOEXEC)),
                               "receive the sockets to rehearse with");
        if (size == 0) throw std::runtime_error{"the running version has closed the channel to its rehearsal"};
        std::ranges::move(received_descriptors(message.header), std::back_inserter(passed));
        // The kernel drops those that there is no space for.  Source: unix(7).
        if ((message.header.msg_flags & MSG_CTRUNC) != 0)
            throw std::system_error{EMFILE, std::generic_category(), "receive the sockets to rehearse with"};
        left = message.left;
    }
    return passed;
}

}  // namespace preforkd
