#include "common/net/sock_diag.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/base/unique_fd.hpp"

namespace preforkd {

namespace {

/// Whether the end of what was asked for has come, or nothing more can.
enum class Answer { More, Done, Failed };

Answer read_messages(std::span<const std::byte> bytes, bool is_list, const ReadSockDiag& read) {
    while (bytes.size() >= sizeof(nlmsghdr)) {
        const auto header = read_struct<nlmsghdr>(bytes);
        if (header.nlmsg_type == NLMSG_DONE) return Answer::Done;
        if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len < NLMSG_LENGTH(0) ||
            header.nlmsg_len > bytes.size() || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
            return Answer::Failed;
        if (!read(bytes.subspan(NLMSG_LENGTH(0), header.nlmsg_len - NLMSG_LENGTH(0)))) return Answer::Failed;
        if (!is_list) return Answer::Done;
        bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
    }
    return Answer::More;
}

}  // namespace

bool ask_sock_diag(std::span<const std::byte> request, bool is_list, const ReadSockDiag& read) {
    const UniqueFd diag{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
    if (!diag) return false;
    nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(request.size())),
                    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                    .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | (is_list ? NLM_F_DUMP : 0)),
                    .nlmsg_seq = 0,
                    .nlmsg_pid = 0};
    const std::array<iovec, 2> parts{
        iovec{.iov_base = &header, .iov_len = sizeof header},
        iovec{.iov_base = const_cast<std::byte*>(request.data()), .iov_len = request.size()}};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    if (::sendmsg(diag.get(), &message, MSG_DONTWAIT) == -1) return false;
    constexpr int most_reads = 256;
    std::vector<std::byte> answer(std::size_t{64} * 1024);
    for (int reads = 0; reads < most_reads; ++reads) {
        const ssize_t got = ::recv(diag.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (got <= 0 || static_cast<std::size_t>(got) > answer.size()) return false;
        const Answer told = read_messages(std::span{answer}.first(static_cast<std::size_t>(got)), is_list, read);
        if (told != Answer::More) return told == Answer::Done;
    }
    return false;
}

bool read_attributes(std::span<const std::byte> body, std::size_t offset, int kind,
                     const std::function<void(std::span<const std::byte>)>& take) {
    for (rtattr attribute{}; offset + sizeof attribute <= body.size(); offset += RTA_ALIGN(attribute.rta_len)) {
        attribute = read_struct<rtattr>(body.subspan(offset));
        if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > body.size() - offset) return false;
        if (attribute.rta_type == kind) take(body.subspan(offset + RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0)));
    }
    return true;
}

}  // namespace preforkd
