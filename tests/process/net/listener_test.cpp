#include "common/net/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "child_report.hpp"
#include "common/base/sys_error.hpp"
#include "common/net/socket_address.hpp"
#include "loopback.hpp"

namespace preforkd {
namespace {

using namespace testing;

std::string failure_of(const std::vector<ListenSettings>& wanted) {
    try {
        (void)bind_listeners(wanted, std::nullopt);
        return "bound";
    } catch (const OperatorError& error) {
        return std::to_string(static_cast<int>(error.code())) + ": " + error.what();
    }
}

bool serves(const Listener& listener, const SocketAddress& address) {
    const UniqueFd client = connect_to(address);
    return static_cast<bool>(accept_from(listener));
}

/// Of a listening socket the kernel reports the queue's limit where a connection has its count of SACKed segments.
unsigned backlog_in_force(const Listener& listener) {
    tcp_info info{};
    socklen_t size = sizeof info;
    check(::getsockopt(listener.fd.get(), IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
    return info.tcpi_sacked;
}

unsigned kernel_number(const char* path) {
    unsigned number = 0;
    std::ifstream{path} >> number;
    return number;
}

/// In a child: sends the log into a pipe.
Pipe capture_log() {
    Pipe pipe = make_pipe();
    check(::dup2(pipe.writer.get(), STDERR_FILENO), "dup2");
    log_to_standard_error();
    return pipe;
}

/// What was logged until now; the log itself holds the pipe open.
std::string captured(Pipe& pipe) {
    check(::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return read_to_end(pipe.reader.get());
}

TEST(Listener, is_listening_non_blocking_and_closes_on_exec_on_the_port_it_tells) {
    const auto listeners = bind_one("tcp://127.0.0.1:0");
    ASSERT_EQ(listeners.size(), 1U);
    const Listener& listener = listeners[0];
    EXPECT_NE(listener.local.port, 0);
    EXPECT_EQ(to_string(listener.local), fmt::format("tcp://127.0.0.1:{}", listener.local.port));
    EXPECT_TRUE(::fcntl(listener.fd.get(), F_GETFL) & O_NONBLOCK);
    EXPECT_TRUE(::fcntl(listener.fd.get(), F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(option_of(listener.fd.get(), SOL_SOCKET, SO_REUSEPORT), 0);
    EXPECT_FALSE(listener.inherited);
    EXPECT_TRUE(serves(listener, numeric("127.0.0.1", listener.local.port)));
}

TEST(Listener, an_empty_host_is_one_socket_for_ipv4_and_ipv6) {
    const auto listeners = bind_one("tcp://:0");
    ASSERT_EQ(listeners.size(), 1U);
    EXPECT_EQ(listeners[0].local.host, "");
    EXPECT_TRUE(serves(listeners[0], numeric("127.0.0.1", listeners[0].local.port)));
    EXPECT_TRUE(serves(listeners[0], numeric("::1", listeners[0].local.port)));
}

TEST(Listener, v6only_leaves_ipv4_to_others) {
    ListenSettings settings = settings_for("tcp://:0");
    settings.v6only = true;
    std::vector<Listener> six, four;
    // The kernel chooses a port that is free with IPv6; with IPv4 another process may have it, but not each of many.
    for (int tries = 0; four.empty() && tries < 100; ++tries) try {
            six = bind_one(settings);
            const ListenSettings beside = settings_for(fmt::format("tcp://0.0.0.0:{}", six.at(0).local.port));
            four = bind_listeners({beside}, std::nullopt, WhenTaken::Fail);
        } catch (const AddressTaken&) {}
    EXPECT_EQ(six.at(0).local.host + ' ' + four.at(0).local.host, ":: 0.0.0.0");
}

/// In a child: a machine whose kernel was started with ipv6.disable=1.
void take_ipv6_away() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    restrict_system_calls(program);
}

TEST(Listener, an_empty_host_is_ipv4_where_there_is_no_ipv6) {
    const std::string report = in_child([]() -> std::string {
        take_ipv6_away();
        const auto listeners = bind_one("tcp://:0");
        return fmt::format("{} {}", listeners.size(), listeners.at(0).local.host);
    });
    EXPECT_EQ(report, "1 0.0.0.0");
}

TEST(Listener, asking_for_ipv6_where_there_is_none_is_an_error) {
    const std::string report = in_child([]() -> std::string {
        take_ipv6_away();
        return failure_of({settings_for("tcp://[::1]:0")});
    });
    EXPECT_TRUE(report.starts_with("78: --listen tcp://[::1]:0: Address family not supported")) << report;
}

TEST(Listener, a_host_of_several_addresses_has_one_port_on_all) {
    const TemporaryDirectory directory;
    const std::string report = in_child([&]() -> std::string {
        if (!enter_namespace(CLONE_NEWNS)) return "skip: no user namespaces here";
        if (!replace_hosts(directory.path(), "127.0.0.1 many\n127.0.0.2 many\n127.0.0.3 many\n"))
            return "skip: /etc/hosts cannot be replaced here";
        const auto listeners = bind_one("tcp://many:0");
        for (const Listener& each : listeners)
            if (each.local.port != listeners[0].local.port || each.local.port == 0) return "ports differ";
        return std::to_string(listeners.size());
    });
    if (skipped(report)) GTEST_SKIP() << report;
    EXPECT_EQ(report, "3");
}

TEST(Listener, an_ipv6_address_in_the_hosts_file_does_not_matter_where_there_is_no_ipv6) {
    const TemporaryDirectory directory;
    const std::string report = in_child([&]() -> std::string {
        if (!enter_namespace(CLONE_NEWNS)) return "skip: no user namespaces here";
        if (!replace_hosts(directory.path(), "127.0.0.1 both\n::1 both\n"))
            return "skip: /etc/hosts cannot be replaced here";
        take_ipv6_away();
        Pipe log = capture_log();
        const auto listeners = bind_one("tcp://both:0");
        return fmt::format("{} {} {}", listeners.size(), listeners.at(0).local.host, captured(log));
    });
    if (skipped(report)) GTEST_SKIP() << report;
    EXPECT_TRUE(report.starts_with("1 127.0.0.1 ")) << report;
    EXPECT_NE(report.find("this machine does not have [::1]:"), std::string::npos) << report;
}

/// In a child that entered a network namespace: brings up loopback.
void raise_loopback() {
    ifreq request{};
    std::copy_n("lo", 3, request.ifr_name);
    request.ifr_flags = IFF_UP;
    const UniqueFd any{check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    check(::ioctl(any.get(), SIOCSIFFLAGS, &request), "raise lo");
}

TEST(Listener, a_kernel_chosen_port_that_is_taken_on_another_address_is_given_up) {
    const TemporaryDirectory directory;
    const std::string report = in_child([&]() -> std::string {
        if (!enter_namespace(CLONE_NEWNS | CLONE_NEWNET)) return "skip: no user namespaces here";
        if (!replace_hosts(directory.path(), "127.0.0.1 two\n127.0.0.2 two\n"))
            return "skip: /etc/hosts cannot be replaced here";
        raise_loopback();
        std::ofstream range{"/proc/sys/net/ipv4/ip_local_port_range"};
        range << "40000 40003" << std::flush;
        if (!range) return "skip: the range of free ports cannot be changed here";
        const std::vector<ListenSettings> taken{settings_for("tcp://127.0.0.1:40003"),
                                                settings_for("tcp://127.0.0.2:40001"),
                                                settings_for("tcp://127.0.0.2:40000")};
        const auto holders = bind_listeners(taken, std::nullopt);
        const auto listeners = bind_one("tcp://two:0");
        const std::uint16_t first = listeners.at(0).local.port, second = listeners.at(1).local.port;
        return fmt::format("{} {}", first, second);
    });
    if (skipped(report)) GTEST_SKIP() << report;
    EXPECT_EQ(report, "40002 40002");
}

TEST(Listener, accepted_connections_inherit_nodelay_and_keepalive) {
    ListenSettings with = settings_for("tcp://127.0.0.1:0"), without = with;
    with.keepalive = true;
    without.nodelay = false;
    for (const auto& settings : {with, without}) {
        const auto listeners = bind_one(settings);
        const UniqueFd client = connect_to(numeric("127.0.0.1", listeners.at(0).local.port));
        const UniqueFd accepted = accept_from(listeners.at(0));
        EXPECT_EQ(option_of(accepted.get(), IPPROTO_TCP, TCP_NODELAY) != 0, settings.nodelay);
        EXPECT_EQ(option_of(accepted.get(), SOL_SOCKET, SO_KEEPALIVE) != 0, settings.keepalive);
    }
}

TEST(Listener, the_backlog_is_its_own_then_the_common_one_then_the_default) {
    ListenSettings own = settings_for("tcp://127.0.0.1:0");
    own.backlog = 7;
    const ListenSettings none = settings_for("tcp://127.0.0.1:0");
    const auto listeners = bind_listeners({own, none}, 9);
    EXPECT_EQ(backlog_in_force(listeners.at(0)), 7U);
    EXPECT_EQ(backlog_in_force(listeners.at(1)), 9U);
    EXPECT_EQ(backlog_in_force(bind_one(none).at(0)), std::min(4096U, kernel_number("/proc/sys/net/core/somaxconn")));
}

TEST(Listener, a_backlog_that_the_kernel_cuts_is_told) {
    const unsigned limit = kernel_number("/proc/sys/net/core/somaxconn");
    const std::string report = in_child([&]() -> std::string {
        Pipe log = capture_log();
        ListenSettings settings = settings_for("tcp://127.0.0.1:0");
        settings.backlog = static_cast<int>(limit) + 1;
        (void)bind_one(settings);
        settings.backlog = static_cast<int>(limit);
        (void)bind_one(settings);
        return captured(log);
    });
    const std::string sentence =
        fmt::format("--listen tcp://127.0.0.1:0: backlog {} is cut to {}: raise net.core.somaxconn", limit + 1, limit);
    EXPECT_NE(report.find(sentence), std::string::npos) << report;
    EXPECT_EQ(std::ranges::count(report, '\n'), 1) << report;
}

TEST(Listener, a_restart_is_not_held_up_by_connections_of_the_former_daemon) {
    std::uint16_t port = 0;
    {
        const auto former = bind_one("tcp://127.0.0.1:0");
        port = former.at(0).local.port;
        UniqueFd client = connect_to(numeric("127.0.0.1", port));
        UniqueFd accepted = accept_from(former.at(0));
        accepted = UniqueFd{};  // the server closes first, so that TIME_WAIT is on its side
        char byte{};
        EXPECT_EQ(::read(client.get(), &byte, 1), 0);
    }
    EXPECT_EQ(bind_one(fmt::format("tcp://127.0.0.1:{}", port)).at(0).local.port, port);
}

TEST(Listener, a_port_that_another_endpoint_has_is_refused_at_once) {
    const auto first = bind_one("tcp://127.0.0.1:0");
    const std::string failure = failure_of({settings_for(to_string(first.at(0).local))});
    EXPECT_EQ(failure,
              fmt::format("71: --listen {}: Address already in use by another listener of this process: remove "
                          "one of them, or restart if a reload shall replace it",
                          to_string(first.at(0).local)));
}

TEST(Listener, a_port_in_use_names_its_holder_and_a_pending_stop_ends_the_wait) {
    auto holder = bind_one("tcp://127.0.0.1:0");
    const std::string endpoint = to_string(holder.at(0).local);
    const pid_t pid = ::getpid();
    const std::string report = in_child([&]() -> std::string {
        holder.clear();
        sigset_t stop{};
        ::sigemptyset(&stop);
        ::sigaddset(&stop, SIGTERM);
        check(::sigprocmask(SIG_BLOCK, &stop, nullptr), "block");
        ::raise(SIGTERM);
        Pipe log = capture_log();
        std::string failure = failure_of({settings_for(endpoint)});
        sigset_t pending{};
        ::sigpending(&pending);
        if (!::sigismember(&pending, SIGTERM)) failure += " and the signal is lost";
        return failure;
    });
    EXPECT_TRUE(report.starts_with(fmt::format("71: --listen {}: Address already in use by ", endpoint))) << report;
    EXPECT_TRUE(report.ends_with(fmt::format(" (pid {}): stop it or choose another port", pid))) << report;
}

TEST(Listener, a_port_that_becomes_free_while_it_waits_is_bound) {
    auto holder = bind_one("tcp://127.0.0.1:0");
    const std::string endpoint = to_string(holder.at(0).local);
    Pipe log = make_pipe(), verdict = make_pipe();
    const ChildProcess child = spawn([&] {
        holder.clear();
        check(::dup2(log.writer.get(), STDERR_FILENO), "dup2");
        log_to_standard_error();
        const std::string outcome = failure_of({settings_for(endpoint)});
        return ::write(verdict.writer.get(), outcome.data(), outcome.size()) > 0 ? 0 : 1;
    });
    log.writer = UniqueFd{};
    verdict.writer = UniqueFd{};
    std::array<char, 512> line{};
    ASSERT_GT(::read(log.reader.get(), line.data(), line.size() - 1), 0);
    EXPECT_NE(std::string{line.data()}.find("retrying"), std::string::npos) << line.data();
    holder.clear();
    EXPECT_EQ(read_to_end(verdict.reader.get()), "bound");
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED), 0);
}

TEST(Listener, a_privileged_port_without_privilege_tells_four_ways_out) {
    const unsigned first_free = kernel_number("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if (first_free <= 1) GTEST_SKIP() << "every port is free for everybody here";
    const std::string report = in_child([]() -> std::string {
        if (::geteuid() == 0) check(::setresuid(65534, 65534, 65534), "setresuid");
        return failure_of({settings_for("tcp://127.0.0.1:1")});
    });
    EXPECT_EQ(report, fmt::format("77: --listen tcp://127.0.0.1:1: Permission denied: run as root, grant "
                                  "CAP_NET_BIND_SERVICE, use socket activation, or a port from {} up",
                                  first_free));
}

TEST(Listener, a_host_that_does_not_exist_is_a_configuration_error_and_an_address_that_is_not_here_may_come) {
    const std::string label(64, 'a');  // longer than DNS allows, so that no name server is asked
    ListenSettings nowhere{.endpoint = {.transport = Transport::Tcp, .host = label, .port = 7}};
    EXPECT_TRUE(failure_of({nowhere}).starts_with("78: --listen tcp://" + label + ":7: ")) << failure_of({nowhere});
    if (kernel_number("/proc/sys/net/ipv4/ip_nonlocal_bind") == 0) {
        EXPECT_TRUE(failure_of({settings_for("tcp://192.0.2.1:0")})
                        .starts_with("71: --listen tcp://192.0.2.1:0: Cannot assign requested address: no interface"));
    }
    EXPECT_TRUE(failure_of({settings_for("fd://web")}).starts_with("78: --listen fd://web: no socket of this name"));
}

TEST(Listener, when_one_endpoint_fails_nothing_of_the_others_is_left) {
    const TemporaryDirectory directory;
    const auto taken = bind_one("tcp://127.0.0.1:0");
    const std::string path = directory / "s";
    EXPECT_TRUE(
        failure_of({settings_for("unix://" + path), settings_for(to_string(taken.at(0).local))}).starts_with("71: "));
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Listener, an_abstract_name_is_bound_without_a_file) {
    const auto listeners = bind_one(fmt::format("unix://@preforkd-listener-{}", ::getpid()));
    EXPECT_TRUE(serves(listeners.at(0), resolve(listeners.at(0).local).at(0)));
    EXPECT_FALSE(listeners.at(0).file);
    EXPECT_TRUE(failure_of({settings_for(to_string(listeners.at(0).local))}).starts_with("71: "));
}

TEST(Listener, the_receive_buffer_is_what_was_asked) {
    ListenSettings settings = settings_for("udp://127.0.0.1:0");
    settings.rcvbuf_bytes = 16'384;
    EXPECT_EQ(option_of(bind_one(settings).at(0).fd.get(), SOL_SOCKET, SO_RCVBUF), 2 * 16'384);
}

TEST(Listener, a_udp_port_cannot_be_taken_twice) {
    const auto first = bind_one("udp://127.0.0.1:0");
    EXPECT_TRUE(failure_of({settings_for(to_string(first.at(0).local))}).starts_with("71: "));
}

}  // namespace
}  // namespace preforkd
