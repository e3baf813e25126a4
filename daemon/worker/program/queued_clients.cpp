#include "daemon/worker/program/queued_clients.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

namespace {

using Clients = std::vector<std::uint64_t>;

/// Reads one answer into `found`; false: it is none that says anything.
using ReadAnswer = bool (*)(std::span<const std::byte> body, Clients& found);

template <class T>
T read_struct(std::span<const std::byte> bytes) noexcept {
    T read{};
    std::memcpy(&read, bytes.data(), std::min(bytes.size(), sizeof read));
    return read;
}

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
    std::size_t offset = NLMSG_ALIGN(sizeof(unix_diag_msg));
    for (rtattr attribute{}; offset + sizeof attribute <= body.size(); offset += RTA_ALIGN(attribute.rta_len)) {
        attribute = read_struct<rtattr>(body.subspan(offset));
        if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > body.size() - offset) return false;
        if (attribute.rta_type != UNIX_DIAG_ICONS) continue;
        for (std::size_t at = RTA_LENGTH(0); at + sizeof(std::uint32_t) <= attribute.rta_len;
             at += sizeof(std::uint32_t))
            found.push_back(read_struct<std::uint32_t>(body.subspan(offset + at)));
    }
    return true;
}

/// Whether the end of what was asked for has come, or nothing more can.
enum class Answer { More, Done, Failed };

Answer read_messages(std::span<const std::byte> bytes, bool is_list, ReadAnswer read, Clients& found) {
    while (bytes.size() >= sizeof(nlmsghdr)) {
        const auto header = read_struct<nlmsghdr>(bytes);
        if (header.nlmsg_type == NLMSG_DONE) return Answer::Done;
        if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len < NLMSG_LENGTH(0) ||
            header.nlmsg_len > bytes.size() || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
            return Answer::Failed;
        if (!read(bytes.subspan(NLMSG_LENGTH(0), header.nlmsg_len - NLMSG_LENGTH(0)), found)) return Answer::Failed;
        if (!is_list) return Answer::Done;
        bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
    }
    return Answer::More;
}

/// The kernel answers from within the call that asks, and the next one: nothing is waited for.
template <class Request>
std::optional<Clients> ask_kernel(const Request& request, std::uint16_t flags, ReadAnswer read) {
    const UniqueFd diag{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
    if (!diag) return std::nullopt;
    struct {
        nlmsghdr header;
        Request request;
    } question{.header = {.nlmsg_len = sizeof question,
                          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                          .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                          .nlmsg_seq = 0,
                          .nlmsg_pid = 0},
               .request = request};
    if (::send(diag.get(), &question, sizeof question, MSG_DONTWAIT) == -1) return std::nullopt;
    constexpr int most_reads = 256;
    Clients found;
    std::vector<std::byte> answer(std::size_t{64} * 1024);
    for (int reads = 0; reads < most_reads; ++reads) {
        const ssize_t got = ::recv(diag.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (got <= 0 || static_cast<std::size_t>(got) > answer.size()) return std::nullopt;
        const std::span<const std::byte> bytes{answer.data(), static_cast<std::size_t>(got)};
        switch (read_messages(bytes, (flags & NLM_F_DUMP) != 0, read, found)) {
            case Answer::More: continue;
            case Answer::Failed: return std::nullopt;
            case Answer::Done: std::ranges::sort(found); return found;
        }
    }
    return std::nullopt;
}

/// What programs have taken and closed is in other states, whatever its inode is.
std::optional<Clients> tcp_clients(int socket) {
    const SocketAddress address = SocketAddress::local_of(socket);
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<std::uint8_t>(address.family());
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_states = 1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT;
    request.id.idiag_sport = htons(address.port());
    return ask_kernel(request, NLM_F_DUMP, read_tcp);
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
    return ask_kernel(request, 0, read_unix);
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
