// The end of a listener whose clients are not to be reset.
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <iterator>

#include "common/net/listener.hpp"

namespace preforkd {
namespace {

/// A filter sees each segment from its TCP header on; byte 13 has the flags.  Only a first SYN is dropped: dropping
/// everything would also lose the ACK that ends a handshake, and that client already believes to be connected.
/// Newer kernels (6.18.44 does) want CAP_NET_ADMIN for it on TCP sockets, which neither an unprivileged service nor
/// root in a container has.  Source: Linux 5d39580f68e6, by way of google/gvisor#14478.
bool drop_first_segments(int fd) {
    constexpr unsigned flags_offset = 13, syn = 0x02, syn_and_ack = 0x12;
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, flags_offset),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, syn_and_ack),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syn, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),           // drop
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),  // keep all of it
    };
    const sock_fprog filter{.len = std::size(program), .filter = program};
    return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

/// Everybody may ask for packets that no router has passed on.  Almost no system sends with the 255 of those, so a
/// listening socket gets no SYN any more; the ACK that ends a handshake belongs to the half-open connection, which is
/// not asked.  A dual-stack socket has one limit for each family; on a socket without one of them that call fails.
void set_least_ttl(int fd, int least) {
    ::setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof least);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least, sizeof least);
}

}  // namespace

void refuse_new_connections(const Listener& listener) noexcept {
    if (listener.outlives_us() || listener.local.transport != Transport::Tcp) return;
    if (drop_first_segments(listener.fd.get())) return;
    set_least_ttl(listener.fd.get(), 255);
}

void lift_refusal(int connection) noexcept { set_least_ttl(connection, 0); }

}  // namespace preforkd
