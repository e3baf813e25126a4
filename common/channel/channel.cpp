#include "common/channel/channel.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "common/base/passed_descriptors.hpp"
#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

constexpr std::size_t longest_report_bytes = 1024;

struct Packet {
    ssize_t size = 0;
    UniqueFd fd{};
};

/// False: not now.
bool send_packet(int fd, iovec* parts, std::size_t count, int passed_fd) noexcept {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    const PassedDescriptors<1> passed{message, std::span{&passed_fd, passed_fd >= 0 ? 1U : 0U}};
    ssize_t sent;
    do sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent == -1 && errno == EINTR);
    return sent != -1 || errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN;
}

/// One packet, with the descriptor it may carry.  size 0: the peer is gone; -1: nothing yet.
Packet receive(int fd, std::span<std::byte> into) {
    iovec part{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size;
    // ECONNRESET: the peer died with packets of ours unread.  Reading it clears it, and the peer's own last packets, if
    // any, are still to come before the end.
    do size = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size == -1 && (errno == EINTR || errno == ECONNRESET));
    if (size == -1 && errno != EAGAIN) throw_errno("receive from channel");

    Packet packet{.size = size};
    if (size <= 0) return packet;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int passed = -1;
        std::memcpy(&passed, CMSG_DATA(header), sizeof passed);
        packet.fd = UniqueFd{passed};
    }
    return packet;
}

std::optional<Report::Kind> kind_of(std::uint8_t number) noexcept {
    using enum Report::Kind;
    for (const Report::Kind kind : {Ready, Paused, Retiring, Failed, Full})
        if (static_cast<std::uint8_t>(kind) == number) return kind;
    return std::nullopt;
}

}  // namespace

ChannelPair open_channel() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "open worker channel");
    return {.master = UniqueFd{ends[0]}, .worker = UniqueFd{ends[1]}};
}

bool send_order(int master_end, Order order, const OrderDetail& detail) noexcept {
    std::uint32_t listener = detail.listener;
    std::array<iovec, 2> parts{{{&order, sizeof order}, {&listener, sizeof listener}}};
    return send_packet(master_end, parts.data(), parts.size(), detail.passed_fd);
}

void send_report(int worker_end, Report::Kind kind, std::string_view text) noexcept {
    text = text.substr(0, longest_report_bytes);
    std::array<iovec, 2> parts{{{&kind, sizeof kind}, {const_cast<char*>(text.data()), text.size()}}};
    (void)send_packet(worker_end, parts.data(), parts.size(), -1);
}

std::variant<ReceivedOrder, NothingYet, PeerGone> receive_order(int worker_end) {
    std::array<std::byte, sizeof(Order) + sizeof(std::uint32_t)> bytes{};
    Packet packet = receive(worker_end, bytes);
    if (packet.size == 0) return PeerGone{};
    if (packet.size < 0) return NothingYet{};
    ReceivedOrder received{.order = static_cast<Order>(bytes[0]), .fd = std::move(packet.fd)};
    if (packet.size == sizeof bytes)
        std::memcpy(&received.listener, bytes.data() + sizeof(Order), sizeof(std::uint32_t));
    return received;
}

std::variant<Report, NothingYet, PeerGone, NoReport> receive_report(int master_end) {
    std::array<std::byte, 1 + longest_report_bytes> bytes{};
    const Packet packet = receive(master_end, bytes);
    if (packet.size == 0) return PeerGone{};
    if (packet.size < 0) return NothingYet{};
    const auto kind = kind_of(static_cast<std::uint8_t>(bytes[0]));
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()) + 1,
                                static_cast<std::size_t>(packet.size) - 1};
    if (!kind || (*kind != Report::Kind::Failed && !text.empty())) return NoReport{};
    return Report{.kind = *kind, .text = is_printable(text) ? std::string{text} : in_quotes_uncut(text)};
}

}  // namespace preforkd
