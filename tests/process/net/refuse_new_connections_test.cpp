#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "child_report.hpp"
#include "common/base/sys_error.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"
#include "loopback.hpp"

namespace preforkd {
namespace {

using namespace testing;

void set_least_ttl(int fd, int least) {
    ::setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof least);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least, sizeof least);
}

/// In a child: a kernel that wants CAP_NET_ADMIN for a filter, which we have not.
void take_filters_away() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + sizeof(std::uint64_t)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 0, 3),  // IPV6_V6ONLY has the same number
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SO_ATTACH_FILTER, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    restrict_system_calls(program);
}

bool passes(int from, int to) {
    char byte{};
    if (::write(from, "x", 1) != 1) return false;
    pollfd readable{.fd = to, .events = POLLIN, .revents = 0};
    return ::poll(&readable, 1, 10'000) == 1 && ::read(to, &byte, 1) == 1;
}

/// The state in the kernel's numbering, of which the last clients' is TCP_SYN_SENT.
unsigned state_of(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    check(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
    return info.tcpi_state;
}

/// What becomes of five clients at the final stop; empty if it is what should.
std::string final_stop(const std::string& host) {
    const auto listeners = bind_one("tcp://:0");
    const Listener& listener = listeners.at(0);
    const SocketAddress address = numeric(host, listener.local.port);

    const UniqueFd early = connect_to(address);
    const UniqueFd established = accept_from(listener);
    const UniqueFd queued = connect_to(address);
    // Deaf to the server's SYN-ACK until the server refuses: its ACK comes when the SYN-ACK is repeated.
    const UniqueFd halfway = client_socket(address.family(), SOCK_NONBLOCK);
    set_least_ttl(halfway.get(), 255);
    (void)::connect(halfway.get(), address.data(), address.size());

    refuse_new_connections(listener);
    set_least_ttl(halfway.get(), 0);
    const UniqueFd late = client_socket(address.family(), SOCK_NONBLOCK);
    if (::connect(late.get(), address.data(), address.size()) != -1 || errno != EINPROGRESS) return "late: connected";

    const UniqueFd served = accept_from(listener);
    lift_refusal(served.get());
    if (!passes(early.get(), established.get()) || !passes(established.get(), early.get())) return "early: cut off";
    if (!passes(queued.get(), served.get()) || !passes(served.get(), queued.get())) return "queued: cut off";
    // Loopback would have answered the late client before these bytes.
    if (option_of(late.get(), SOL_SOCKET, SO_ERROR) != 0 || state_of(late.get()) != TCP_SYN_SENT)
        return "late: answered";

    const UniqueFd completed = accept_from(listener);
    lift_refusal(completed.get());
    if (SocketAddress::peer_of(completed.get()).port() != SocketAddress::local_of(halfway.get()).port())
        return "late: accepted";
    if (!passes(halfway.get(), completed.get()) || !passes(completed.get(), halfway.get())) return "halfway: cut off";
    return {};
}

TEST(RefuseNewConnections, who_was_there_is_served_and_who_comes_now_is_neither_accepted_nor_reset) {
    EXPECT_EQ(final_stop("127.0.0.1"), "");
    EXPECT_EQ(final_stop("::1"), "");
}

TEST(RefuseNewConnections, where_filters_are_forbidden_it_is_the_same) {
    for (const char* host : {"127.0.0.1", "::1"})
        EXPECT_EQ(in_child([&]() -> std::string {
                      take_filters_away();
                      return final_stop(host);
                  }),
                  "");
}

TEST(RefuseNewConnections, an_inherited_socket_is_left_alone) {
    auto listeners = bind_one("tcp://127.0.0.1:0");
    listeners.at(0).inherited = true;
    refuse_new_connections(listeners.at(0));
    const UniqueFd client = connect_to(numeric("127.0.0.1", listeners.at(0).local.port));
    EXPECT_TRUE(accept_from(listeners.at(0)));
}

}  // namespace
}  // namespace preforkd
