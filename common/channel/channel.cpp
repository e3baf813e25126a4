#include "common/channel/channel.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <span>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

constexpr std::size_t longest_report_bytes = 1024;

/// Before the text of each report.
struct ReportHeader {
    std::uint8_t kind = 0;
    std::uint8_t unused = 0;
    std::uint16_t text_bytes = 0;
};
static_assert(sizeof(ReportHeader) + longest_report_bytes <= PIPE_BUF, "else a report may come in pieces");

/// The size of one packet.  0: the peer is gone; -1: nothing yet.
ssize_t receive(int fd, std::span<std::byte> into) {
    ssize_t size;
    do size = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    while (size == -1 && errno == EINTR);
    if (size == -1 && errno != EAGAIN) throw_errno("receive from channel");
    return size;
}

/// What is there now, of one write() where that was not longer.  0: the end; -1: nothing yet.
ssize_t read_some(int fd, void* into, std::size_t bytes) {
    ssize_t size;
    do size = ::read(fd, into, bytes);
    while (size == -1 && errno == EINTR);
    if (size == -1 && errno != EAGAIN) throw_errno("receive from channel");
    return size;
}

std::optional<Report::Kind> kind_of(std::uint8_t number) noexcept {
    using enum Report::Kind;
    for (const Report::Kind kind : {Ready, Paused, Retiring, Failed, Full, Extend})
        if (static_cast<std::uint8_t>(kind) == number) return kind;
    return std::nullopt;
}

constexpr std::size_t longest_text_of(Report::Kind kind) noexcept {
    constexpr std::size_t digits = 20;
    switch (kind) {
        case Report::Kind::Failed: return longest_report_bytes;
        case Report::Kind::Extend: return digits;
        case Report::Kind::Ready:
        case Report::Kind::Paused:
        case Report::Kind::Retiring:
        case Report::Kind::Full: return 0;
    }
    return 0;
}

}  // namespace

ChannelPair open_channel() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "open worker channel");
    ChannelPair pair{.master = {.orders = UniqueFd{ends[0]}}, .worker = {.orders = UniqueFd{ends[1]}}};
    check(::shutdown(pair.master.orders.get(), SHUT_RD), "open worker channel");
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "open worker channel");
    pair.master.reports = UniqueFd{ends[0]};
    pair.worker.reports = UniqueFd{ends[1]};
    // A page is enough, and all pipes of a user share a limit.  Source: pipe-user-pages-soft, pipe(7).
    (void)::fcntl(pair.worker.reports.get(), F_SETPIPE_SZ, PIPE_BUF);
    return pair;
}

bool send_order(int orders, Order order, std::uint32_t argument) noexcept {
    std::array<iovec, 2> parts{{{&order, sizeof order}, {&argument, sizeof argument}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    ssize_t sent;
    do sent = ::sendmsg(orders, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent == -1 && errno == EINTR);
    return sent != -1 || errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN;
}

void send_report(int reports, Report::Kind kind, std::string_view text) noexcept {
    text = text.substr(0, longest_report_bytes);
    ReportHeader header{.kind = static_cast<std::uint8_t>(kind), .text_bytes = static_cast<std::uint16_t>(text.size())};
    const std::array<iovec, 2> parts{{{&header, sizeof header}, {const_cast<char*>(text.data()), text.size()}}};
    while (::writev(reports, parts.data(), text.empty() ? 1 : 2) == -1 && errno == EINTR) continue;
}

std::variant<ReceivedOrder, NothingYet, PeerGone> receive_order(int orders) {
    std::array<std::byte, sizeof(Order) + sizeof(std::uint32_t)> bytes{};
    const ssize_t size = receive(orders, bytes);
    if (size == 0) return PeerGone{};
    if (size < 0) return NothingYet{};
    ReceivedOrder received{.order = static_cast<Order>(bytes[0])};
    if (size == sizeof bytes) std::memcpy(&received.argument, bytes.data() + sizeof(Order), sizeof(std::uint32_t));
    return received;
}

std::variant<Report, NothingYet, PeerGone, NoReport> receive_report(int reports) {
    ReportHeader header;
    const ssize_t size = read_some(reports, &header, sizeof header);
    if (size == 0) return PeerGone{};
    if (size < 0) return NothingYet{};
    const auto kind = kind_of(header.kind);
    if (size != sizeof header || !kind || header.text_bytes > longest_text_of(*kind)) return NoReport{};
    std::string text(header.text_bytes, '\0');
    if (!text.empty() && read_some(reports, text.data(), text.size()) != header.text_bytes) return NoReport{};
    return Report{.kind = *kind, .text = is_printable(text) ? std::move(text) : in_quotes_uncut(text)};
}

}  // namespace preforkd
