#include "common/systemd/activation.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "child_report.hpp"
#include "common/base/sys_error.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {
namespace {

using namespace testing;

/// A socket as systemd makes it: blocking, and not by us.
UniqueFd systemd_socket(const std::string& endpoint, bool listening = true) {
    const Endpoint parsed = parse_endpoint(endpoint);
    const SocketAddress address = resolve(parsed).at(0);
    UniqueFd fd{check(::socket(address.family(), socket_type_of(parsed.transport) | SOCK_CLOEXEC, 0), "socket")};
    check(::bind(fd.get(), address.data(), address.size()), "bind");
    if (listening && !is_datagram(parsed.transport)) check(::listen(fd.get(), 8), "listen");
    return fd;
}

std::vector<PassedSocket> passed_one(UniqueFd fd, const std::string& name = "web") {
    std::vector<PassedSocket> passed;
    std::string flaw = flaw_of(Libsystemd{}, fd.get());
    passed.push_back({.fd = std::move(fd), .name = name, .flaw = std::move(flaw)});
    return passed;
}

std::vector<ListenSettings> wanting(const std::vector<std::string>& endpoints) {
    std::vector<ListenSettings> wanted;
    for (const std::string& each : endpoints)
        wanted.push_back({.endpoint = parse_endpoint(each), .handler = "for " + each});
    return wanted;
}

std::string refusal(std::vector<PassedSocket> passed, const std::vector<std::string>& wanted, bool is_default = false) {
    try {
        (void)assign_passed_sockets(std::move(passed), wanting(wanted), is_default);
        return "accepted";
    } catch (const OperatorError& error) { return fmt::format("{}: {}", static_cast<int>(error.code()), error.what()); }
}

std::string abstract_name(const char* suffix) { return fmt::format("@preforkd-activation-{}-{}", ::getpid(), suffix); }

TEST(AssignPassedSockets, a_socket_serves_the_endpoint_of_its_name) {
    auto passed = passed_one(systemd_socket("tcp://127.0.0.1:0"), "a");
    passed.push_back({.fd = systemd_socket("tcp://127.0.0.1:0"), .name = "b"});
    passed.push_back({.fd = systemd_socket("tcp://[::1]:0"), .name = "a"});
    const Assignment assignment =
        assign_passed_sockets(std::move(passed), wanting({"fd://b", "fd://a", "tcp://127.0.0.1:7"}), false);
    ASSERT_EQ(assignment.listeners.size(), 3U);
    EXPECT_EQ(assignment.listeners[0].settings.handler, "for fd://a");
    EXPECT_EQ(assignment.listeners[1].settings.handler, "for fd://b");
    EXPECT_EQ(assignment.listeners[2].settings.handler, "for fd://a");
    EXPECT_EQ(assignment.listeners[2].local.host, "::1");
    ASSERT_EQ(assignment.unbound.size(), 1U);
    EXPECT_EQ(assignment.unbound[0].endpoint.port, 7);
}

TEST(AssignPassedSockets, a_socket_serves_the_endpoint_of_its_address) {
    UniqueFd tcp = systemd_socket("tcp://:0");
    const std::string tcp_endpoint = fmt::format("tcp://:{}", SocketAddress::local_of(tcp.get()).port());
    const std::string name = abstract_name("address");
    auto passed = passed_one(std::move(tcp));
    passed.push_back({.fd = systemd_socket("unix://" + name), .name = "x"});
    passed.push_back({.fd = systemd_socket("udp://127.0.0.1:0"), .name = "y"});
    const Assignment assignment = assign_passed_sockets(
        std::move(passed), wanting({"tcp://127.0.0.1:0", "udp://127.0.0.1:0", "unix://" + name, tcp_endpoint}), false);
    ASSERT_EQ(assignment.listeners.size(), 3U);
    EXPECT_EQ(assignment.listeners[0].settings.handler, "for " + tcp_endpoint);
    EXPECT_EQ(to_string(assignment.listeners[0].local), tcp_endpoint);
    EXPECT_EQ(assignment.listeners[1].settings.handler, "for unix://" + name);
    EXPECT_EQ(assignment.listeners[2].settings.handler, "for udp://127.0.0.1:0");
    ASSERT_EQ(assignment.unbound.size(), 1U);
    EXPECT_EQ(to_string(assignment.unbound[0].endpoint), "tcp://127.0.0.1:0");
}

TEST(AssignPassedSockets, an_adopted_socket_is_non_blocking_and_otherwise_as_it_was) {
    UniqueFd fd = systemd_socket("tcp://127.0.0.1:0");
    const UniqueFd at_systemd{::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)};
    auto wanted = wanting({"fd://web"});
    wanted[0].keepalive = true;
    const Assignment assignment = assign_passed_sockets(passed_one(std::move(fd)), wanted, false);
    const Listener& listener = assignment.listeners.at(0);
    EXPECT_TRUE(listener.inherited);
    EXPECT_TRUE(::fcntl(listener.fd.get(), F_GETFL) & O_NONBLOCK);
    for (const auto& [level, option] :
         {std::pair<int, int>{IPPROTO_TCP, TCP_NODELAY}, std::pair<int, int>{SOL_SOCKET, SO_KEEPALIVE}}) {
        int value = -1;
        socklen_t size = sizeof value;
        EXPECT_EQ(::getsockopt(at_systemd.get(), level, option, &value, &size), 0);
        EXPECT_EQ(value, 0);
    }
}

TEST(AssignPassedSockets, without_a_wish_every_socket_is_served) {
    auto passed = passed_one(systemd_socket("tcp://127.0.0.1:0"), "a");
    passed.push_back({.fd = systemd_socket("unix://" + abstract_name("default")), .name = "b"});
    const Assignment assignment = assign_passed_sockets(std::move(passed), wanting({"tcp://:10000"}), true);
    EXPECT_EQ(assignment.listeners.size(), 2U);
    EXPECT_EQ(assignment.listeners.at(1).settings.handler, "for tcp://:10000");
    EXPECT_TRUE(assignment.unbound.empty());
}

TEST(AssignPassedSockets, without_passed_sockets_everything_is_still_to_be_bound) {
    // Names are not resolved for it: this one cannot be.
    auto wanted = wanting({"tcp://:7"});
    wanted[0].endpoint.host = std::string(64, 'a');
    EXPECT_EQ(assign_passed_sockets({}, wanted, false).unbound, wanted);
    EXPECT_EQ(assign_passed_sockets({}, wanted, true).unbound, wanted);
}

TEST(AssignPassedSockets, a_name_that_was_not_passed_is_refused) {
    EXPECT_EQ(
        refusal({}, {"fd://web"}),
        "78: --listen fd://web: no socket of this name was passed, but nothing: set FileDescriptorName=web in the "
        ".socket unit");
    const std::string other = refusal(passed_one(systemd_socket("tcp://127.0.0.1:0"), "a"), {"fd://a", "fd://web"});
    EXPECT_TRUE(other.starts_with("78: --listen fd://web: no socket of this name was passed, but a:")) << other;
}

TEST(AssignPassedSockets, a_socket_that_matches_nothing_is_named) {
    UniqueFd fd = systemd_socket("tcp://127.0.0.1:0");
    const std::string where =
        fmt::format("78: descriptor {} (web, {}) ", fd.get(), to_string(local_endpoint(fd.get())));
    const std::string sentence = refusal(passed_one(std::move(fd)), {"tcp://127.0.0.1:7"});
    EXPECT_TRUE(sentence.starts_with(where + "passed by systemd matches no --listen: add `--listen fd://web`"))
        << sentence;
}

TEST(AssignPassedSockets, a_descriptor_that_is_no_socket_is_named) {
    UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const std::string who =
        fmt::format("78: descriptor {} (web, no address) passed by systemd is not a socket", fd.get());
    EXPECT_TRUE(refusal(passed_one(std::move(fd)), {"tcp://:7"}, true).starts_with(who));
}

TEST(AssignPassedSockets, a_socket_that_does_not_listen_is_refused) {
    const std::string sentence = refusal(passed_one(systemd_socket("tcp://127.0.0.1:0", false)), {"fd://web"});
    EXPECT_NE(sentence.find("is not listening"), std::string::npos) << sentence;
    UniqueFd unbound{check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const std::string other = refusal(passed_one(std::move(unbound)), {"fd://web"});
    EXPECT_NE(other.find("is not bound"), std::string::npos) << other;
}

TEST(AssignPassedSockets, kinds_that_are_not_served_are_refused) {
    for (const auto& [family, type] :
         {std::pair<int, int>{AF_UNIX, SOCK_SEQPACKET}, std::pair<int, int>{AF_NETLINK, SOCK_RAW},
          std::pair<int, int>{AF_VSOCK, SOCK_STREAM}, std::pair<int, int>{AF_NETLINK, SOCK_DGRAM}}) {
        UniqueFd fd{::socket(family, type | SOCK_CLOEXEC, 0)};
        if (!fd) continue;  // not every kernel has vsock
        const std::string who = fmt::format("78: descriptor {} (web, ", fd.get());
        const std::string sentence = refusal(passed_one(std::move(fd)), {"tcp://:7"}, true);
        EXPECT_TRUE(sentence.starts_with(who)) << sentence;
        EXPECT_NE(sentence.find("is of a kind that is not served"), std::string::npos) << sentence;
    }
}

}  // namespace
}  // namespace preforkd
