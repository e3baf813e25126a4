#include "common/net/port_holder.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/child_process.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

SocketAddress address(const char* endpoint, std::uint16_t port = 0) {
    return resolve(parse_endpoint(endpoint)).at(0).with_port(port);
}

UniqueFd socket_on(const SocketAddress& where, int type) {
    UniqueFd fd{check(::socket(where.family(), type | SOCK_CLOEXEC, 0), "socket")};
    check(::bind(fd.get(), where.data(), where.size()), "bind");
    if (type == SOCK_STREAM) check(::listen(fd.get(), 8), "listen");
    return fd;
}

bool held_by_us(const SocketAddress& where, int type) {
    const auto holder = find_holder(where, type);
    return holder && holder->pid == ::getpid();
}

TEST(PortHolder, the_process_that_listens_is_named_as_it_names_itself) {
    const UniqueFd server = socket_on(address("tcp://127.0.0.1:0"), SOCK_STREAM);
    const auto holder = find_holder(SocketAddress::local_of(server.get()), SOCK_STREAM);
    ASSERT_TRUE(holder);
    EXPECT_EQ(holder->pid, ::getpid());
    std::string name;
    std::ifstream comm{"/proc/self/comm"};
    std::getline(comm, name);
    EXPECT_EQ(holder->name, name);
}

/// Forked now, with all that the test has open; lives until the test lets go of it.
struct Sharer {
    explicit Sharer(const char* name)
        : child{spawn([this, name] {
              ::prctl(PR_SET_NAME, name);
              (void)!::write(named.writer.get(), "n", 1);
              char byte = 0;
              (void)!::read(end.reader.get(), &byte, 1);
              return 0;
          })} {
        char byte = 0;
        (void)!::read(named.reader.get(), &byte, 1);
    }
    ~Sharer() {
        child.signal(SIGKILL);
        ::waitpid(child.pid(), nullptr, 0);
    }

    testing::Pipe named = testing::make_pipe();
    testing::Pipe end = testing::make_pipe();
    ChildProcess child;
};

TEST(PortHolder, who_serves_is_named_and_not_systemd_which_only_stores_the_socket) {
    UniqueFd server = socket_on(address("tcp://127.0.0.1:0"), SOCK_STREAM);
    const SocketAddress where = SocketAddress::local_of(server.get());
    const Sharer store{"systemd"};
    {
        const Sharer service{"server"};
        server = {};
        ASSERT_LT(store.child.pid(), service.child.pid());
        const auto holder = find_holder(where, SOCK_STREAM);
        ASSERT_TRUE(holder);
        EXPECT_EQ(holder->pid, service.child.pid());
        EXPECT_EQ(holder->name, "server");
    }
    const auto holder = find_holder(where, SOCK_STREAM);
    ASSERT_TRUE(holder);
    EXPECT_EQ(holder->pid, store.child.pid());
    EXPECT_TRUE(is_service_manager(*holder));
}

TEST(PortHolder, a_wildcard_holds_every_address_and_the_other_way_round) {
    const UniqueFd everywhere = socket_on(address("tcp://:0"), SOCK_STREAM);
    const std::uint16_t port = SocketAddress::local_of(everywhere.get()).port();
    EXPECT_TRUE(held_by_us(address("tcp://127.0.0.1:0", port), SOCK_STREAM));
    EXPECT_TRUE(held_by_us(address("tcp://[::1]:0", port), SOCK_STREAM));

    const UniqueFd somewhere = socket_on(address("tcp://127.0.0.1:0"), SOCK_STREAM);
    const std::uint16_t other = SocketAddress::local_of(somewhere.get()).port();
    EXPECT_TRUE(held_by_us(address("tcp://0.0.0.0:0", other), SOCK_STREAM));
    EXPECT_TRUE(held_by_us(address("tcp://:0", other), SOCK_STREAM));
    EXPECT_TRUE(held_by_us(address("tcp://[::ffff:127.0.0.1]:0", other), SOCK_STREAM));
}

TEST(PortHolder, another_address_another_port_or_another_protocol_is_not_held) {
    const UniqueFd server = socket_on(address("tcp://127.0.0.1:0"), SOCK_STREAM);
    const std::uint16_t port = SocketAddress::local_of(server.get()).port();
    EXPECT_FALSE(held_by_us(address("tcp://127.0.0.2:0", port), SOCK_STREAM));
    EXPECT_FALSE(held_by_us(address("tcp://127.0.0.1:0", 1), SOCK_STREAM));
    EXPECT_FALSE(held_by_us(address("tcp://127.0.0.1:0", port), SOCK_DGRAM));
}

TEST(PortHolder, a_udp_socket_is_found) {
    const UniqueFd server = socket_on(address("udp://[::1]:0"), SOCK_DGRAM);
    EXPECT_TRUE(held_by_us(SocketAddress::local_of(server.get()), SOCK_DGRAM));
}

TEST(PortHolder, an_abstract_name_is_found) {
    const SocketAddress where = address(("unix://@preforkd-holder-" + std::to_string(::getpid())).c_str());
    EXPECT_FALSE(find_holder(where, SOCK_STREAM));
    const UniqueFd server = socket_on(where, SOCK_STREAM);
    EXPECT_TRUE(held_by_us(where, SOCK_STREAM));
}

}  // namespace
}  // namespace preforkd
