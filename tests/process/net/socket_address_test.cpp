#include "common/net/socket_address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <system_error>

#include "child_report.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {
namespace {

using namespace testing;

SocketAddress first_of(const char* endpoint) { return resolve(parse_endpoint(endpoint)).at(0); }

UniqueFd socket_on(const char* endpoint) {
    const Endpoint parsed = parse_endpoint(endpoint);
    const SocketAddress address = resolve(parsed).at(0);
    UniqueFd fd{check(::socket(address.family(), socket_type_of(parsed.transport) | SOCK_CLOEXEC, 0), "socket")};
    check(::bind(fd.get(), address.data(), address.size()), "bind");
    if (!is_datagram(parsed.transport)) check(::listen(fd.get(), 8), "listen");
    return fd;
}

UniqueFd connect_to(const SocketAddress& address) {
    UniqueFd fd{check(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    check(::connect(fd.get(), address.data(), address.size()), "connect");
    return fd;
}

TEST(SocketAddress, comes_back_as_the_endpoint_it_was_made_from) {
    for (const char* text : {"tcp://127.0.0.1:80", "tcp://[::1]:65535", "udp://10.1.2.3:0", "unix:///run/x.sock",
                             "unix://@name", "unixgram:///run/y", "unixgram://@z"}) {
        const Endpoint endpoint = parse_endpoint(text);
        EXPECT_EQ(to_string(first_of(text).to_endpoint(socket_type_of(endpoint.transport))), text);
    }
}

TEST(SocketAddress, an_ipv4_host_reads_as_inet_ntop_has_it) {
    for (std::uint32_t number = 0; number < 256; ++number)
        for (const std::uint32_t all :
             {number << 24 | 7, number << 16 | 0xff, number << 8, number, number * 0x01010101u}) {
            sockaddr_in raw{
                .sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {.s_addr = htonl(all)}, .sin_zero = {}};
            std::array<char, INET_ADDRSTRLEN> expected{};
            ::inet_ntop(AF_INET, &raw.sin_addr, expected.data(), expected.size());
            const SocketAddress address{reinterpret_cast<const sockaddr*>(&raw), sizeof raw};
            EXPECT_EQ(address.to_endpoint(SOCK_STREAM).host, expected.data());
        }
}

TEST(SocketAddress, a_v4_mapped_peer_is_printed_as_ipv4) {
    const UniqueFd server = socket_on("tcp://:0");
    const std::uint16_t port = SocketAddress::local_of(server.get()).port();
    const UniqueFd client = connect_to(first_of("tcp://127.0.0.1:0").with_port(port));
    SocketAddress peer;
    socklen_t size = SocketAddress::capacity();
    const UniqueFd accepted{check(::accept4(server.get(), peer.data(), &size, SOCK_CLOEXEC), "accept")};
    peer.resize(size);

    EXPECT_EQ(peer.family(), AF_INET6);
    const std::string own = std::to_string(SocketAddress::local_of(client.get()).port());
    EXPECT_EQ(address_of(peer.to_endpoint(SOCK_STREAM)), "127.0.0.1:" + own);
    EXPECT_EQ(peer.unmapped(), SocketAddress::local_of(client.get()));
    EXPECT_EQ(peer, SocketAddress::peer_of(accepted.get()));
}

TEST(SocketAddress, a_link_local_address_names_its_interface) {
    sockaddr_in6 raw = first_of("tcp://[fe80::1]:7").as<sockaddr_in6>();
    raw.sin6_scope_id = 1;  // lo, always the first
    const SocketAddress address{reinterpret_cast<const sockaddr*>(&raw), sizeof raw};
    EXPECT_EQ(to_string(address.to_endpoint(SOCK_STREAM)), "tcp://[fe80::1%lo]:7");
    EXPECT_FALSE(address == first_of("tcp://[fe80::1]:7"));
}

TEST(SocketAddress, a_unix_client_without_an_address_is_unnamed) {
    const UniqueFd server = socket_on(("unix://@preforkd-test-" + std::to_string(::getpid())).c_str());
    const UniqueFd client = connect_to(SocketAddress::local_of(server.get()));
    SocketAddress peer;
    socklen_t size = SocketAddress::capacity();
    const UniqueFd accepted{check(::accept4(server.get(), peer.data(), &size, SOCK_CLOEXEC), "accept")};
    peer.resize(size);

    EXPECT_EQ(address_of(peer.to_endpoint(SOCK_STREAM)), "unnamed");
    EXPECT_EQ(address_of(SocketAddress{}.to_endpoint(SOCK_DGRAM)), "unnamed");
}

TEST(SocketAddress, an_abstract_name_may_hold_any_byte) {
    const std::string name{"a\0b\n", 4};
    const Endpoint endpoint{.transport = Transport::Unix, .path = name, .abstract = true};
    EXPECT_EQ(resolve(endpoint).at(0).to_endpoint(SOCK_STREAM), endpoint);
}

TEST(SocketAddress, a_path_that_fills_the_address_needs_no_terminating_nul) {
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    std::memset(raw.sun_path, 'x', sizeof raw.sun_path);
    const SocketAddress address{reinterpret_cast<const sockaddr*>(&raw), sizeof raw};
    EXPECT_EQ(address.to_endpoint(SOCK_STREAM).path, std::string(sizeof raw.sun_path, 'x'));
}

TEST(SocketAddress, a_path_of_107_bytes_fits_and_one_of_108_does_not) {
    Endpoint endpoint{.transport = Transport::Unix, .path = "/" + std::string(106, 'x')};
    EXPECT_EQ(resolve(endpoint).at(0).to_endpoint(SOCK_STREAM), endpoint);
    endpoint.path += 'x';
    try {
        (void)resolve(endpoint);
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) { EXPECT_EQ(error.code(), std::errc::filename_too_long); }
}

TEST(SocketAddress, a_family_without_endpoints_is_refused) {
    sockaddr raw{};
    raw.sa_family = AF_NETLINK;
    const SocketAddress address{&raw, sizeof raw};
    EXPECT_THROW((void)address.to_endpoint(SOCK_DGRAM), std::invalid_argument);
}

TEST(SocketAddress, an_empty_host_is_every_ipv6_and_then_every_ipv4_address) {
    const auto addresses = resolve(parse_endpoint("tcp://:7"));
    ASSERT_EQ(addresses.size(), 2U);
    EXPECT_EQ(addresses[0].family(), AF_INET6);
    EXPECT_EQ(addresses[1].family(), AF_INET);
    EXPECT_TRUE(addresses[0].is_wildcard() && addresses[1].is_wildcard());
    EXPECT_EQ(addresses[1].port(), 7);
}

TEST(SocketAddress, a_host_name_has_each_of_its_addresses_once) {
    const TemporaryDirectory directory;
    const std::string report = in_child([&]() -> std::string {
        if (!enter_namespace(CLONE_NEWNS)) return "skip: no user namespaces here";
        if (!replace_hosts(directory.path(), "127.0.0.1 many\n127.0.0.2 many\n::1 many\n127.0.0.1 many\n"))
            return "skip: /etc/hosts cannot be replaced here";
        std::set<std::string> all;  // the resolver's order depends on what routes the machine has
        for (const auto& each : resolve(parse_endpoint("tcp://many:7")))
            if (!all.insert(address_of(each.to_endpoint(SOCK_STREAM))).second) return "one came twice";
        return fmt::format("{}", fmt::join(all, " "));
    });
    if (skipped(report)) GTEST_SKIP() << report;
    EXPECT_EQ(report, "127.0.0.1:7 127.0.0.2:7 [::1]:7");
}

TEST(SocketAddress, a_host_that_does_not_exist_is_named_in_the_error) {
    const std::string label(64, 'a');  // one more than a label may have, so that no name server is asked
    try {
        (void)resolve({.transport = Transport::Tcp, .host = label, .port = 7});
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().category(), addrinfo_category());
        EXPECT_TRUE(std::string{error.what()}.starts_with("tcp://" + label + ":7: ")) << error.what();
    }
}

TEST(SocketAddress, a_dual_stack_wildcard_has_an_empty_host) {
    EXPECT_EQ(local_endpoint(socket_on("tcp://:0").get()).host, "");
    EXPECT_EQ(local_endpoint(socket_on("tcp://0.0.0.0:0").get()).host, "0.0.0.0");
}

}  // namespace
}  // namespace preforkd
