#include "daemon/ctl/dial.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "sending.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace ::testing;
using namespace preforkd::testing;

bool has_ipv6() {
    try {
        const Server probe{"tcp://[::1]:0"};
        return true;
    } catch (const std::system_error&) { return false; }
}

TEST(Dial, an_empty_host_is_this_machine_and_its_addresses_are_tried_in_turn) {
    const Server server{some_tcp};  // not on ::1, which is tried first
    Endpoint here = server.endpoint;
    here.host.clear();
    Sending sending{{.endpoint = here, .verbose = true}};
    UniqueFd client = server.accept();
    EXPECT_EQ(wait_and_read_to_end(client.get()), "hello from client");
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
    const std::string port = std::to_string(here.port);
    EXPECT_THAT(sending.notes(),
                MatchesRegex("\\* trying \\[::1\\]:" + port + "\n\\* \\[::1\\]:" + port +
                             ": [^\n]*\n\\* trying 127.0.0.1:" + port + "\n\\* connected to 127.0.0.1:" + port +
                             " after [0-9.]+ ms\n\\* ended after [0-9.]+ ms: 17 bytes sent, 0 received\n"));
}

TEST(Dial, one_that_is_silent_leaves_time_for_the_next) {
    if (!has_ipv6()) GTEST_SKIP() << "this machine has no ::1";
    const Server server{some_tcp};
    Endpoint here = server.endpoint;
    here.host = "::1";
    const Server silent{to_string(here), 0};
    const SocketAddress address = resolve(here).at(0);
    std::vector<UniqueFd> queue;  // the kernel drops who wants to join a full one
    do {
        queue.emplace_back(check(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
        (void)::connect(queue.back().get(), address.data(), address.size());
    } while (comes(queue.back().get(), POLLOUT, 50) && queue.size() < 10);

    here.host.clear();
    Sending sending{{.endpoint = here, .timeout = 1s, .verbose = true}};
    UniqueFd client = server.accept();
    EXPECT_EQ(wait_and_read_to_end(client.get()), "hello from client");
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
    EXPECT_THAT(sending.notes(), HasSubstr("[::1]:" + std::to_string(here.port) + ": Connection timed out"));
}

TEST(Dial, a_refusal_is_said_once_for_all_addresses) {
    if (!has_ipv6()) GTEST_SKIP() << "this machine has no ::1";
    Endpoint gone = Server{some_tcp}.endpoint;
    gone.host.clear();
    Sending sending{{.endpoint = gone}};
    EXPECT_EQ(sending.complaint(), "connect " + to_string(gone) + ": Connection refused; nothing listens there");
}

TEST(Dial, a_socket_of_the_other_kind_is_called_by_its_name) {
    const std::string path = ::testing::TempDir() + "send_test." + std::to_string(::getpid());
    {
        const Server datagrams{"unixgram://" + path};
        Sending sending{{.endpoint = parse_endpoint("unix://" + path)}};
        EXPECT_THAT(sending.complaint(), HasSubstr("the server speaks unixgram://"));
    }
    Sending sending{{.endpoint = parse_endpoint("unix://" + path)}};
    EXPECT_THAT(sending.complaint(), HasSubstr("nothing listens there"));
    std::filesystem::remove(path);
}

TEST(Dial, a_name_that_nobody_knows_is_one_sentence) {
    Sending sending{{.endpoint = parse_endpoint("tcp://nobody.invalid:1")}};
    EXPECT_THAT(sending.complaint(), StartsWith("look up tcp://nobody.invalid:1: "));
}

}  // namespace
}  // namespace preforkd
