#include "daemon/master/pool/queue_depth.hpp"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <exception>
#include <span>

#include "common/net/sock_diag.hpp"

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

QueueDepth unix_queue(int fd) noexcept try {
    struct stat info {};
    if (::fstat(fd, &info) == -1) return {};
    unix_diag_req request{};
    request.sdiag_family = AF_UNIX;
    request.udiag_states = ~0U;
    request.udiag_ino = static_cast<std::uint32_t>(info.st_ino);
    request.udiag_show = UDIAG_SHOW_RQLEN;
    request.udiag_cookie[0] = request.udiag_cookie[1] = ~0U;  // any: an inode is enough
    QueueDepth depth{};
    const bool told =
        ask_sock_diag(std::as_bytes(std::span{&request, 1}), false, [&depth](std::span<const std::byte> body) {
            return read_attributes(body, NLMSG_ALIGN(sizeof(unix_diag_msg)), UNIX_DIAG_RQLEN,
                                   [&depth](std::span<const std::byte> content) {
                                       const auto lengths = read_struct<unix_diag_rqlen>(content);
                                       depth = {.queued = lengths.udiag_rqueue, .limit = lengths.udiag_wqueue};
                                   });
        });
    return told ? depth : QueueDepth{};
} catch (const std::exception&) { return {}; }  // no memory

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
