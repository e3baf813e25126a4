#include "daemon/worker/datagram/datagram_message.hpp"

#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "common/net/host_address.hpp"

namespace preforkd {

namespace {

/// Control data has no alignment that could be relied on.
template <class T>
T content_of(const cmsghdr& note) noexcept {
    T content{};
    std::memcpy(&content, CMSG_DATA(&note), sizeof content);
    return content;
}

bool is(const cmsghdr& note, int level, int type, std::size_t bytes) noexcept {
    return note.cmsg_level == level && note.cmsg_type == type && note.cmsg_len >= CMSG_LEN(bytes);
}

SocketAddress destination_of(const in_pktinfo& info, std::uint16_t port) noexcept {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    // The first is ours, also when the datagram went to a broadcast or multicast address; but it is empty in one that
    // was queued before IP_PKTINFO was set, as the first is when a service is started by it.
    address.sin_addr = info.ipi_spec_dst.s_addr != INADDR_ANY ? info.ipi_spec_dst : info.ipi_addr;
    return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

SocketAddress destination_of(const in6_pktinfo& info, std::uint16_t port) noexcept {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    address.sin6_addr = info.ipi6_addr;
    // Only there does the address alone not say on which wire; elsewhere the routing table knows better.
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) address.sin6_scope_id = info.ipi6_ifindex;
    return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

template <class T>
void add_note(msghdr& header, DatagramMessage& message, int level, int type, const T& content) noexcept {
    auto& note = *reinterpret_cast<cmsghdr*>(message.control.data());
    note.cmsg_level = level;
    note.cmsg_type = type;
    note.cmsg_len = CMSG_LEN(sizeof content);
    std::memcpy(CMSG_DATA(&note), &content, sizeof content);
    header.msg_control = message.control.data();
    header.msg_controllen = CMSG_SPACE(sizeof content);
}

}  // namespace

void prepare_to_receive(msghdr& header, DatagramMessage& message, std::span<std::byte> buffer, bool control) noexcept {
    message.payload = {.iov_base = buffer.data(), .iov_len = buffer.size()};
    header = {.msg_name = message.address.data(),
              .msg_namelen = SocketAddress::capacity(),
              .msg_iov = &message.payload,
              .msg_iovlen = 1,
              .msg_control = control ? message.control.data() : nullptr,
              .msg_controllen = control ? message.control.size() : 0,
              .msg_flags = 0};
}

DatagramNotes read_notes(msghdr& header, std::uint16_t port) noexcept {
    DatagramNotes notes;
    for (const cmsghdr* note = CMSG_FIRSTHDR(&header); note != nullptr;
         note = CMSG_NXTHDR(&header, const_cast<cmsghdr*>(note))) {
        if (is(*note, IPPROTO_IP, IP_PKTINFO, sizeof(in_pktinfo)))
            notes.destination = destination_of(content_of<in_pktinfo>(*note), port);
        else if (is(*note, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(in6_pktinfo)))
            notes.destination = destination_of(content_of<in6_pktinfo>(*note), port);
        else if (is(*note, SOL_SOCKET, SO_RXQ_OVFL, sizeof(std::uint32_t)))
            notes.dropped = content_of<std::uint32_t>(*note);
    }
    return notes;
}

void prepare_to_send(msghdr& header, DatagramMessage& message, std::span<const std::byte> payload,
                     const SocketAddress& peer) noexcept {
    message.address = peer;
    message.payload = {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()};
    header = {.msg_name = message.address.data(),
              .msg_namelen = message.address.size(),
              .msg_iov = &message.payload,
              .msg_iovlen = 1,
              .msg_control = nullptr,
              .msg_controllen = 0,
              .msg_flags = 0};
}

void name_source(msghdr& header, DatagramMessage& message, const SocketAddress& local) noexcept {
    const auto host = host_address_of(local);
    if (!host || !names_one_host(*host)) return;
    if (local.family() == AF_INET) {
        const in_pktinfo info{.ipi_ifindex = 0, .ipi_spec_dst = local.as<sockaddr_in>().sin_addr, .ipi_addr = {}};
        add_note(header, message, IPPROTO_IP, IP_PKTINFO, info);
    } else {
        // A dual-stack socket takes a v4-mapped source in the same form.
        const auto address = local.as<sockaddr_in6>();
        const in6_pktinfo info{.ipi6_addr = address.sin6_addr, .ipi6_ifindex = address.sin6_scope_id};
        add_note(header, message, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
}

bool tells_of_earlier_datagram(int error) noexcept {
    switch (error) {
        case ECONNREFUSED:
        case ECONNRESET:
        case EHOSTUNREACH:
        case EHOSTDOWN:
        case ENETUNREACH:
        case ENETDOWN:
        case ENETRESET:
        case ENONET:
        case ENOPROTOOPT:
        case EOPNOTSUPP:
        case EPROTO:
        case EACCES:
        case EPERM:
        case EMSGSIZE:
        case ETIMEDOUT: return true;
        default: return false;
    }
}

}  // namespace preforkd
