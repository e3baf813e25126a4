#include "daemon/worker/stream/connection_tls.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "tests/process/connection_fixture.hpp"
#include "tests/process/tls_client_side.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

class TlsConnection : public testing::ConnectedClient, protected testing::TlsClientSide {
protected:
    TlsConnection() : ConnectedClient{10s}, TlsClientSide{client.get()} {}
};

/// The socket is filled below TLS, since nothing tells beforehand that a record will be the last one to find space.
TEST_F(TlsConnection, the_end_of_output_passes_a_full_socket_while_the_client_sends_nothing) {
    std::size_t filled = 0;
    std::size_t received = 0;
    beside = [&] {
        if (filled == 0) return (void)stream->handshake();
        std::array<char, 1 << 16> space{};
        ssize_t got = 0;
        while ((got = ::recv(client.get(), space.data(), space.size(), 0)) > 0)
            received += static_cast<std::size_t>(got);
        if (got != 0) return;
        EXPECT_EQ(stream->end_output().kind, Kind::Done) << "only now";
        beside = [] {};
    };
    serve([&](Connection& connection) -> awaitable<void> {
        const bool shaken = co_await begin_tls(*core, listener);
        EXPECT_TRUE(shaken);
        const std::string piece(1000, 'x');
        ssize_t sent = 0;
        while ((sent = ::send(core->fd(), piece.data(), piece.size(), MSG_NOSIGNAL)) > 0)
            filled += static_cast<std::size_t>(sent);
        EXPECT_FALSE(connection.half_close());
        EXPECT_FALSE(core->output_ended) << "there is no space for it";
        const Received end = co_await connection.read_some();
        EXPECT_FALSE(end);
        EXPECT_FALSE(end.error) << end.error.message();
        EXPECT_TRUE(core->output_ended);
    });
    EXPECT_GT(received, filled) << "a close_notify came behind it";
}

}  // namespace
}  // namespace preforkd
