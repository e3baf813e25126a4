#include "daemon/ctl/exchange.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sending.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace ::testing;
using namespace preforkd::testing;

class EveryDatagram : public TestWithParam<const char*> {
protected:
    static std::string where() { return GetParam() == std::string{"udp"} ? some_udp : abstract_name("unixgram"); }
};
INSTANTIATE_TEST_SUITE_P(Send, EveryDatagram, Values("udp", "unixgram"));

TEST_P(EveryDatagram, one_goes_and_one_comes_back) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .text = "ping", .expect = "pong"}};
    const auto received = server.receive();
    EXPECT_EQ(received.text, "ping");
    server.reply(received.from, "pong");
    EXPECT_EQ(sending.rest_of_answer(), "pong");
    EXPECT_EQ(sending.complaint(), "");
}

TEST_P(EveryDatagram, an_empty_one_is_sent_and_an_empty_reply_is_one) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .text = ""}};
    const auto received = server.receive();
    EXPECT_EQ(received.text, "");
    server.reply(received.from, "");
    EXPECT_EQ(sending.rest_of_answer(), "");
    EXPECT_EQ(sending.complaint(), "");
}

TEST_P(EveryDatagram, all_of_the_input_is_one) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .text = std::nullopt}};
    sending.type("one ");
    sending.type("two");
    sending.end_input();
    const auto received = server.receive();
    EXPECT_EQ(received.text, "one two");
    server.reply(received.from, "three");
    EXPECT_EQ(sending.complaint(), "");
}

TEST_P(EveryDatagram, the_longest_one_goes_and_comes_and_a_longer_one_is_refused) {
    const Server server{where()};
    const std::size_t limit = is_datagram(server.endpoint.transport) && server.endpoint.path.empty() ? 65'507 : 65'535;
    Sending sending{{.endpoint = server.endpoint, .text = std::string(limit, 'x')}};
    const auto received = server.receive();
    EXPECT_EQ(received.text.size(), limit);
    server.reply(received.from, received.text);
    EXPECT_EQ(sending.rest_of_answer().size(), limit);
    EXPECT_EQ(sending.complaint(), "");

    Sending longer{{.endpoint = server.endpoint, .text = std::string(limit + 1, 'x')}};
    EXPECT_THAT(longer.complaint(), AllOf(StartsWith("usage: TEXT: "), HasSubstr(std::to_string(limit))));
}

TEST_P(EveryDatagram, input_that_has_no_end_is_refused) {
    const Server server{where()};
    const UniqueFd zeros{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    EXPECT_THROW(send({.endpoint = server.endpoint, .text = std::nullopt}, {.input = zeros.get()}),
                 std::invalid_argument);
}

TEST_P(EveryDatagram, silence_ends_with_the_timeout_and_a_remedy) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .timeout = 50ms}};
    EXPECT_THAT(sending.complaint(), AllOf(HasSubstr("no reply within --timeout 50ms"), HasSubstr("--no-reply")));
    EXPECT_EQ(server.receive().text, "hello from client");
    EXPECT_FALSE(is_readable(server.fd.get())) << "sent twice";
}

TEST_P(EveryDatagram, without_waiting_for_a_reply_it_is_sent_all_the_same) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .text = "note", .no_reply = true}};
    EXPECT_EQ(sending.complaint(), "");
    EXPECT_EQ(server.receive().text, "note");
}

TEST(DatagramExchange, a_refusal_leads_to_the_next_address) {
    const Server server{some_udp};  // not on ::1, which is tried first
    Endpoint here = server.endpoint;
    here.host.clear();
    Sending sending{{.endpoint = here}};
    const auto received = server.receive();
    server.reply(received.from, "found");
    EXPECT_EQ(sending.rest_of_answer(), "found");
    EXPECT_EQ(sending.complaint(), "");
}

TEST(DatagramExchange, a_refusal_by_all_is_one_sentence) {
    const Endpoint gone = Server{some_udp}.endpoint;
    for (const bool no_reply : {false, true}) {
        Sending sending{{.endpoint = gone, .no_reply = no_reply}};
        EXPECT_THAT(sending.complaint(), HasSubstr("Connection refused; nothing listens there"));
    }
}

TEST(DatagramExchange, a_unix_reply_comes_to_a_name_that_leaves_nothing_behind) {
    const Server server{abstract_name("unixgram")};
    Sending sending{{.endpoint = server.endpoint, .verbose = true}};
    const auto received = server.receive();
    const Endpoint client = received.from.to_endpoint(SOCK_DGRAM);
    EXPECT_TRUE(client.abstract);
    server.reply(received.from, "reply");
    EXPECT_EQ(sending.complaint(), "");
    EXPECT_THAT(sending.notes(), HasSubstr("* replies come to @" + client.path + "\n"));
}

TEST(DatagramExchange, who_wants_no_unix_reply_has_no_name_to_send_it_to) {
    const Server server{abstract_name("unixgram")};
    Sending sending{{.endpoint = server.endpoint, .no_reply = true}};
    EXPECT_EQ(server.receive().from.to_endpoint(SOCK_DGRAM).path, "");
    EXPECT_EQ(sending.complaint(), "");
}

TEST(DatagramExchange, a_full_unix_queue_is_waited_for) {
    const Server server{abstract_name("unixgram")};
    const SocketAddress address = resolve(server.endpoint).at(0);
    const UniqueFd crowd{check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
    while (::sendto(crowd.get(), "x", 1, 0, address.data(), address.size()) == 1) continue;

    Sending impatient{{.endpoint = server.endpoint, .timeout = 50ms, .no_reply = true}};
    EXPECT_THAT(impatient.complaint(), HasSubstr("its queue is full"));

    Sending sending{{.endpoint = server.endpoint, .no_reply = true}};
    while (server.receive().text != "hello from client") continue;
    EXPECT_EQ(sending.complaint(), "");
}

TEST(DatagramExchange, times_and_bytes_are_told) {
    const Server server{some_udp};
    Sending sending{{.endpoint = server.endpoint, .text = "ping", .verbose = true}};
    const auto received = server.receive();
    server.reply(received.from, "pong!");
    EXPECT_EQ(sending.complaint(), "");
    EXPECT_THAT(sending.notes(), AllOf(ContainsRegex("\\* first byte after [0-9.]+ ms\n"),
                                       ContainsRegex("\\* ended after [0-9.]+ ms: 4 bytes sent, 5 received\n")));
}

}  // namespace
}  // namespace preforkd
