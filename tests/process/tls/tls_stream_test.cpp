#include "common/tls/tls_stream.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "loopback.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd {
namespace {

class TlsStreamTest : public ::testing::TestWithParam<TlsEnd> {
protected:
    void SetUp() override { ASSERT_TRUE(pair.shake_hands()); }

    const std::vector<CertificatePair> certificates{make_self_signed({"localhost"}, std::chrono::days{30})};
    const std::unique_ptr<TlsContext> context{context_of(certificates, {.alpn = {"x"}, .end = GetParam()})};
    TlsPair pair{*context, "localhost"};
};

TEST_P(TlsStreamTest, both_know_what_was_agreed_on) {
    const Tls facts = pair.server->facts();
    EXPECT_EQ(facts.version, "TLSv1.3");
    EXPECT_EQ(facts.server_name, "localhost");
    EXPECT_EQ(facts.alpn, "") << "the client has named none";
    EXPECT_FALSE(facts.resumed);
    EXPECT_EQ(facts.certificate, std::nullopt);
    EXPECT_EQ(pair.client->facts().cipher, facts.cipher);
}

std::pair<UniqueFd, UniqueFd> connection() {
    const std::vector<Listener> listeners = testing::bind_one("tcp://127.0.0.1:0");
    UniqueFd client = testing::client_socket(AF_INET);
    const SocketAddress address = testing::numeric("127.0.0.1", listeners.at(0).local.port);
    check(::connect(client.get(), address.data(), address.size()), "connect");
    UniqueFd server = testing::accept_from(listeners.at(0));
    for (const int fd : {server.get(), client.get()}) check(::fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
    return {std::move(server), std::move(client)};
}

int unsent_bytes(const UniqueFd& socket) {
    int bytes = 0;
    check(::ioctl(socket.get(), SIOCOUTQNSD, &bytes), "ioctl");
    return bytes;
}

TEST_P(TlsStreamTest, tickets_go_with_the_first_data_or_before_the_client_is_waited_for) {
    for (const bool writes_first : {false, true}) {
        TlsPair over_tcp{*context, "localhost", connection()};
        ASSERT_TRUE(over_tcp.shake_hands());
        std::string none;
        if (writes_first)
            EXPECT_EQ(over_tcp.server->write(bytes_of("hello")).kind, Kind::Done);
        else
            EXPECT_EQ(read_into(*over_tcp.server, none).kind, Kind::WantsInput);
        EXPECT_EQ(unsent_bytes(over_tcp.server_fd), 0);
    }
}

TEST_P(TlsStreamTest, what_is_written_is_read_and_what_is_left_of_a_record_is_pending) {
    EXPECT_EQ(pair.client->write(bytes_of("hello")).bytes, 5U);
    std::array<std::byte, 2> two{};
    EXPECT_EQ(pair.server->read(two).bytes, 2U);
    EXPECT_TRUE(pair.server->has_pending()) << "no poll(2) tells of it";
    std::string rest;
    EXPECT_EQ(read_into(*pair.server, rest).kind, Kind::Done);
    EXPECT_EQ(rest, "llo");
    EXPECT_FALSE(pair.server->has_pending());
    EXPECT_EQ(read_into(*pair.server, rest).kind, Kind::WantsInput);
    EXPECT_FALSE(pair.server->read_wants_output());
}

TEST_P(TlsStreamTest, each_direction_ends_for_itself) {
    EXPECT_EQ(pair.server->end_output().kind, Kind::Done);
    EXPECT_EQ(pair.server->end_output().kind, Kind::Done) << "nothing more happens";
    EXPECT_EQ(pair.server->output(), TlsStream::Output::Ended);
    EXPECT_EQ(pair.server->write(bytes_of("late")).error, std::errc::broken_pipe);
    std::string got;
    EXPECT_EQ(read_into(*pair.client, got).kind, Kind::End);
    EXPECT_EQ(pair.client->write(bytes_of("on")).kind, Kind::Done);
    EXPECT_EQ(pair.client->end_output().kind, Kind::Done);
    EXPECT_EQ(read_into(*pair.server, got).kind, Kind::Done);
    EXPECT_EQ(got, "on");
    EXPECT_EQ(read_into(*pair.server, got).kind, Kind::End);
}

TEST_P(TlsStreamTest, a_full_socket_is_waited_for_and_the_end_comes_behind_all_that_was_written) {
    const std::string piece(1 << 14, 'x');
    std::size_t sent = 0;
    TlsResult result{};
    while ((result = pair.server->write(bytes_of(piece))).kind == Kind::Done) sent += result.bytes;
    EXPECT_EQ(result.kind, Kind::WantsOutput);
    EXPECT_FALSE(pair.server->read_wants_output()) << "nobody reads";
    std::string got;
    while (read_into(*pair.client, got).kind == Kind::Done) continue;
    result = pair.server->write(bytes_of(piece));  // the same again
    ASSERT_EQ(result.kind, Kind::Done);
    sent += result.bytes;
    EXPECT_EQ(pair.server->end_output().kind, Kind::Done);
    while (read_into(*pair.client, got).kind == Kind::Done) continue;
    EXPECT_EQ(got.size(), sent);
    EXPECT_EQ(read_into(*pair.client, got).kind, Kind::End);
}

TEST_P(TlsStreamTest, an_end_that_a_full_socket_has_no_space_for_waits_however_often_it_is_asked_for) {
    EXPECT_EQ(pair.server->write(bytes_of(std::string(1 << 14, 'x'))).kind, Kind::Done);
    const int less = 1;  // than is in it
    ASSERT_EQ(::setsockopt(pair.server_fd.get(), SOL_SOCKET, SO_SNDBUF, &less, sizeof less), 0);
    EXPECT_EQ(pair.server->end_output().kind, Kind::WantsOutput);
    EXPECT_EQ(pair.server->end_output().kind, Kind::WantsOutput) << "nobody has read since";
    std::string got;
    TlsResult read{};
    while ((read = read_into(*pair.client, got)).kind == Kind::Done) (void)pair.server->end_output();
    EXPECT_EQ(read.kind, Kind::End) << read.error.message();
}

TEST_P(TlsStreamTest, a_stream_that_is_cut_off_has_no_end_unless_it_may) {
    EXPECT_EQ(pair.client->write(bytes_of("part")).kind, Kind::Done);
    ASSERT_EQ(::shutdown(pair.client_fd.get(), SHUT_WR), 0);
    std::string got;
    EXPECT_EQ(read_into(*pair.server, got).kind, Kind::Done);
    const TlsResult end = read_into(*pair.server, got);
    if (GetParam() == TlsEnd::Lax) {
        EXPECT_EQ(end.kind, Kind::End);
    } else {
        EXPECT_EQ(end.kind, Kind::Failed);
        EXPECT_EQ(end.error, std::errc::connection_aborted);
    }
}

TEST_P(TlsStreamTest, a_write_to_somebody_who_has_ended_and_gone_fails) {
    EXPECT_EQ(pair.client->end_output().kind, Kind::Done);
    std::string got;
    EXPECT_EQ(read_into(*pair.server, got).kind, Kind::End);
    EXPECT_EQ(pair.server->write(bytes_of("still here")).kind, Kind::Done);
    pair.client_fd = {};
    const TlsResult result = pair.server->write(bytes_of("gone"));
    EXPECT_EQ(result.kind, Kind::Failed);
    EXPECT_EQ(result.error, std::errc::broken_pipe);
    EXPECT_EQ(pair.server->end_output().kind, Kind::Failed);
}

TEST_P(TlsStreamTest, a_record_that_was_tampered_with_is_an_error) {
    constexpr std::string_view forged{"\x17\x03\x03\0\x08xxxxxxxx", 13};
    ASSERT_EQ(::send(pair.client_fd.get(), forged.data(), forged.size(), MSG_NOSIGNAL), ssize_t(forged.size()));
    std::string got;
    const TlsResult result = read_into(*pair.server, got);
    EXPECT_EQ(result.kind, Kind::Failed);
    EXPECT_EQ(result.error, std::errc::protocol_error);
    EXPECT_EQ(got, "");
}

INSTANTIATE_TEST_SUITE_P(Ends, TlsStreamTest, ::testing::Values(TlsEnd::Strict, TlsEnd::Lax),
                         [](const auto& each) { return each.param == TlsEnd::Strict ? "strict" : "lax"; });

TEST(TlsStream, what_is_no_handshake_fails_and_says_why) {
    const std::vector<CertificatePair> certificates{make_self_signed({"localhost"}, std::chrono::days{30})};
    const auto context = context_of(certificates);
    TlsPair pair{*context};
    constexpr std::string_view http = "GET / HTTP/1.1\r\n\r\n";
    ASSERT_EQ(::send(pair.client_fd.get(), http.data(), http.size(), 0), ssize_t(http.size()));
    EXPECT_EQ(pair.server->handshake().kind, Kind::Failed);
    EXPECT_EQ(pair.server->failure(), "http request");
}

}  // namespace
}  // namespace preforkd
