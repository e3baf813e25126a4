#include "daemon/worker/program/queued_clients.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "common/net/sock_diag.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

namespace {

using Clients = std::vector<std::uint64_t>;

bool read_tcp(std::span<const std::byte> body, Clients& found) {
    if (body.size() < sizeof(inet_diag_msg)) return false;
    const auto connection = read_struct<inet_diag_msg>(body);
    if (connection.idiag_inode != 0) return true;
    const auto& cookie = connection.id.idiag_cookie;
    found.push_back(std::uint64_t{cookie[1]} << 32 | cookie[0]);
    return true;
}

/// One attribute has the inodes of all that wait.
bool read_unix(std::span<const std::byte> body, Clients& found) {
    return read_attributes(
        body, NLMSG_ALIGN(sizeof(unix_diag_msg)), UNIX_DIAG_ICONS, [&found](std::span<const std::byte> inodes) {
            for (; inodes.size() >= sizeof(std::uint32_t); inodes = inodes.subspan(sizeof(std::uint32_t)))
                found.push_back(read_struct<std::uint32_t>(inodes));
        });
}

template <class Request>
std::optional<Clients> ask_kernel(const Request& request, bool is_list,
                                  bool (*read)(std::span<const std::byte>, Clients&)) {
    Clients found;
    if (!ask_sock_diag(std::as_bytes(std::span{&request, 1}), is_list,
                       [&](std::span<const std::byte> body) { return read(body, found); }))
        return std::nullopt;
    std::ranges::sort(found);
    return found;
}

/// What programs have taken and closed is in other states, whatever its inode is.
std::optional<Clients> tcp_clients(int socket) {
    const SocketAddress address = SocketAddress::local_of(socket);
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<std::uint8_t>(address.family());
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = 1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT;
    request.id.idiag_sport = htons(address.port());
    return ask_kernel(request, true, read_tcp);
}

std::optional<Clients> unix_clients(int socket) {
    struct stat info {};
    if (::fstat(socket, &info) == -1) return std::nullopt;
    unix_diag_req request{};
    request.sdiag_family = AF_UNIX;
    request.udiag_states = ~0U;
    request.udiag_ino = static_cast<std::uint32_t>(info.st_ino);
    request.udiag_show = UDIAG_SHOW_ICONS;
    request.udiag_cookie[0] = request.udiag_cookie[1] = ~0U;  // any: an inode is enough
    return ask_kernel(request, false, read_unix);
}

}  // namespace

std::optional<std::vector<std::uint64_t>> queued_clients(int socket, Transport transport) noexcept try {
    switch (transport) {
        case Transport::Tcp: return tcp_clients(socket);
        case Transport::Unix: return unix_clients(socket);
        case Transport::Udp:
        case Transport::UnixDatagram:
        case Transport::Passed: return std::nullopt;
    }
    return std::nullopt;
} catch (const std::exception&) { return std::nullopt; }

bool all_still_wait(const std::vector<std::uint64_t>& before, const std::vector<std::uint64_t>& now) {
    return std::ranges::includes(now, before);
}

}  // namespace preforkd
