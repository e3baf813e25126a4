#include "daemon/master/pool/queue_depth.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

namespace preforkd {
namespace {

QueueDepth tcp_queue(int fd) noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == -1 || info.tcpi_state != TCP_LISTEN) return {};
    // Of a listening socket these two mean its queue.
    return {.queued = info.tcpi_unacked, .limit = info.tcpi_sacked};
}

using SocketMemory = std::array<std::uint32_t, SK_MEMINFO_VARS>;

std::optional<SocketMemory> memory_of(int fd) noexcept {
    SocketMemory memory{};
    socklen_t size = sizeof memory;
    if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &size) == -1 || size != sizeof memory)
        return std::nullopt;
    return memory;
}

QueueDepth udp_queue(int fd) noexcept {
    QueueDepth depth{.in_bytes = true};
    const auto memory = memory_of(fd);
    if (!memory) return depth;
    depth.queued = (*memory)[SK_MEMINFO_RMEM_ALLOC];
    depth.limit = (*memory)[SK_MEMINFO_RCVBUF];
    return depth;
}

/// The kernel's answer about one Unix socket, or what is left of an error.
QueueDepth read_answer(std::span<const std::byte> bytes) noexcept {
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len > bytes.size()) return {};
    std::size_t offset = NLMSG_LENGTH(sizeof(unix_diag_msg));
    for (rtattr attribute{}; offset + sizeof attribute <= header.nlmsg_len; offset += RTA_ALIGN(attribute.rta_len)) {
        std::memcpy(&attribute, bytes.data() + offset, sizeof attribute);
        if (attribute.rta_len < sizeof attribute) return {};
        unix_diag_rqlen lengths{};
        if (attribute.rta_type != UNIX_DIAG_RQLEN || attribute.rta_len < RTA_LENGTH(sizeof lengths)) continue;
        std::memcpy(&lengths, bytes.data() + offset + RTA_LENGTH(0), sizeof lengths);
        return {.queued = lengths.udiag_rqueue, .limit = lengths.udiag_wqueue};
    }
    return {};
}

QueueDepth unix_queue(int fd) noexcept {
    struct stat info {};
    if (::fstat(fd, &info) == -1) return {};
    // Answers come from within the call that asks, so nothing is waited for.
    const UniqueFd diag{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
    if (!diag) return {};
    struct {
        nlmsghdr header;
        unix_diag_req request;
    } question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.request.sdiag_family = AF_UNIX;
    question.request.udiag_states = ~0U;
    question.request.udiag_ino = static_cast<std::uint32_t>(info.st_ino);
    question.request.udiag_show = UDIAG_SHOW_RQLEN;
    question.request.udiag_cookie[0] = ~0U;  // any: an inode is enough
    question.request.udiag_cookie[1] = ~0U;
    if (::send(diag.get(), &question, sizeof question, MSG_DONTWAIT) == -1) return {};
    alignas(nlmsghdr) std::array<std::byte, 1024> answer{};
    const ssize_t got = ::recv(diag.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (got < static_cast<ssize_t>(sizeof(nlmsghdr))) return {};
    return read_answer(std::span{answer}.first(static_cast<std::size_t>(got)));
}

}  // namespace

std::optional<std::uint64_t> dropped_at(const Listener& listener) noexcept {
    const Transport transport = listener.local.transport;
    if (transport != Transport::Tcp && transport != Transport::Udp) return std::nullopt;
    const auto memory = memory_of(listener.fd.get());
    return memory ? std::optional<std::uint64_t>{(*memory)[SK_MEMINFO_DROPS]} : std::nullopt;
}

QueueDepth queue_depth(const Listener& listener) noexcept {
    switch (listener.local.transport) {
        case Transport::Tcp: return tcp_queue(listener.fd.get());
        case Transport::Udp: return udp_queue(listener.fd.get());
        case Transport::Unix: return unix_queue(listener.fd.get());
        case Transport::UnixDatagram: return {.in_bytes = true};
        case Transport::Passed: return {};
    }
    return {};
}

bool somebody_waits(const std::vector<Listener>& listeners, std::size_t service) {
    std::vector<pollfd> queues;
    for (const Listener& listener : listeners)
        if (listener.service == service && !(is_surplus(listener) && is_shut_down(listener.fd.get())))
            queues.push_back({.fd = listener.fd.get(), .events = POLLIN, .revents = 0});
    return ::poll(queues.data(), queues.size(), 0) > 0;
}

}  // namespace preforkd
