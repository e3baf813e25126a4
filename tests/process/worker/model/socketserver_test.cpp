// 26 of the 27 tests of Python's Lib/test/test_socketserver.py, under their meaning.  Each names the one it stands for;
// MiscTestCase.test_all is in tests/daemon/test_public_names.py.
#include <fcntl.h>
#include <pthread.h>

#include <csignal>
#include <type_traits>

#include "tests/process/socketserver_fixture.hpp"

namespace preforkd::testing {

namespace {

void expect_three_clients_served(const std::string& listen, Model model) {
    Server server{handler<EchoLine>("echo"), {.listen = listen, .model = model}};
    EXPECT_EQ(server.server_address(), local_endpoint(server.fd()));
    Serving serving{server};
    for (int client = 0; client < 3; ++client) {
        const SocketPath own;
        const UniqueFd fd = dial(server.server_address(), own);
        say(fd.get(), "hello world\n");
        EXPECT_EQ(hear(fd.get()), "hello world\n");
    }
    serving.stop();
    server.server_close();
    EXPECT_EQ(server.fd(), -1);
}

/// In a forking server no child may be left, and none of ours taken.
void expect_three_clients_served_by_children(const std::string& listen) {
    ASSERT_FALSE(has_children());
    {
        const ForeignChild foreign;
        expect_three_clients_served(listen, Model::Fork);
    }
    EXPECT_FALSE(has_children());
}

const std::string tcp = "tcp://127.0.0.1:0";
const std::string udp = "udp://127.0.0.1:0";

}  // namespace

// SocketServerTest.test_TCPServer
TEST(Socketserver, a_serial_tcp_server_serves_three_clients) { expect_three_clients_served(tcp, Model::Serial); }

// SocketServerTest.test_ThreadingTCPServer
TEST(Socketserver, a_threading_tcp_server_serves_three_clients) { expect_three_clients_served(tcp, Model::Thread); }

// SocketServerTest.test_ForkingTCPServer
TEST(Socketserver, a_forking_tcp_server_serves_three_clients) { expect_three_clients_served_by_children(tcp); }

// SocketServerTest.test_UnixStreamServer
TEST(Socketserver, a_serial_unix_server_serves_three_clients) {
    const SocketPath path;
    expect_three_clients_served("unix://" + path.text(), Model::Serial);
}

// SocketServerTest.test_ThreadingUnixStreamServer
TEST(Socketserver, a_threading_unix_server_serves_three_clients) {
    const SocketPath path;
    expect_three_clients_served("unix://" + path.text(), Model::Thread);
}

// SocketServerTest.test_ForkingUnixStreamServer
TEST(Socketserver, a_forking_unix_server_serves_three_clients) {
    const SocketPath path;
    expect_three_clients_served_by_children("unix://" + path.text());
}

// SocketServerTest.test_UDPServer
TEST(Socketserver, a_serial_udp_server_serves_three_clients) { expect_three_clients_served(udp, Model::Serial); }

// SocketServerTest.test_ThreadingUDPServer
TEST(Socketserver, a_threading_udp_server_serves_three_clients) { expect_three_clients_served(udp, Model::Thread); }

// SocketServerTest.test_ForkingUDPServer
TEST(Socketserver, a_forking_udp_server_serves_three_clients) { expect_three_clients_served_by_children(udp); }

// SocketServerTest.test_UnixDatagramServer
TEST(Socketserver, a_serial_unix_datagram_server_serves_three_clients) {
    const SocketPath path;
    expect_three_clients_served("unixgram://" + path.text(), Model::Serial);
}

// SocketServerTest.test_ThreadingUnixDatagramServer
TEST(Socketserver, a_threading_unix_datagram_server_serves_three_clients) {
    const SocketPath path;
    expect_three_clients_served("unixgram://" + path.text(), Model::Thread);
}

// SocketServerTest.test_ForkingUnixDatagramServer
TEST(Socketserver, a_forking_unix_datagram_server_serves_three_clients) {
    const SocketPath path;
    expect_three_clients_served_by_children("unixgram://" + path.text());
}

// SocketServerTest.test_shutdown (bpo-2302)
TEST(Socketserver, a_shutdown_before_or_while_the_loop_begins_ends_it) {
    for (int round = 0; round < 20; ++round) {
        Server server{handler<EchoLine>("echo"), {.listen = tcp, .model = Model::Serial}};
        std::thread serving{[&] { server.serve_forever(); }};
        server.shutdown();
        serving.join();
    }
}

// SocketServerTest.test_close_immediately
TEST(Socketserver, a_server_that_never_served_closes) {
    Server server{handler<EchoLine>("echo"), {.listen = tcp, .model = Model::Thread}};
    EXPECT_NO_THROW(server.server_close());
}

// SocketServerTest.test_tcpserver_bind_leak (bpo-22435): a port that cannot be is refused before there is a socket, so
// an address that this machine does not have is tried, too.
TEST(Socketserver, a_server_that_cannot_bind_leaks_no_descriptor) {
    const std::size_t before = open_descriptors();
    for (int attempt = 0; attempt < 1024; ++attempt) {
        EXPECT_THROW((Server{handler<EchoLine>("echo"), {.listen = "tcp://127.0.0.1:-1"}}), std::invalid_argument);
        EXPECT_THROW((Server{handler<EchoLine>("echo"), {.listen = "tcp://192.0.2.1:0"}}), std::runtime_error);
    }
    EXPECT_EQ(open_descriptors(), before);
}

// SocketServerTest.test_context_manager
TEST(Socketserver, a_server_that_goes_out_of_scope_is_closed) {
    int fd = -1;
    {
        const Server server{handler<EchoLine>("echo"), {.listen = tcp}};
        fd = server.fd();
        ASSERT_NE(::fcntl(fd, F_GETFD), -1);
    }
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

// --- ErrorHandlerTest ---

namespace {

void value_error() { throw std::invalid_argument{"on purpose"}; }
void system_exit() { throw ServerExit{}; }

/// Serves one client with a handler that fails.
void serve_badly(const SharedHappened& happened, Model model, const std::function<void()>& failure) {
    const HandlerEntry entry{.name = "bad", .model = model, .make_blocking = [&](const HandlerOptions&) {
                                 return std::make_unique<BadHandler>(happened, failure);
                             }};
    Server server{entry, {.listen = tcp}};
    const UniqueFd client = dial(server.server_address());
    EXPECT_TRUE(server.handle_request(no_patience_needed));
}

}  // namespace

// ErrorHandlerTest.test_sync_handled
TEST(Socketserver, an_error_in_a_serial_server_is_handled) {
    const SharedHappened happened;
    serve_badly(happened, Model::Serial, value_error);
    EXPECT_EQ(happened->called, 1);
    EXPECT_EQ(happened->handled, 1);
}

// ErrorHandlerTest.test_sync_not_handled
TEST(Socketserver, an_exit_in_a_serial_server_is_no_error_and_ends_the_serving) {
    const SharedHappened happened;
    EXPECT_THROW(serve_badly(happened, Model::Serial, system_exit), ServerExit);
    EXPECT_EQ(happened->called, 1);
    EXPECT_EQ(happened->handled, 0);
}

// ErrorHandlerTest.test_threading_handled
TEST(Socketserver, an_error_in_a_thread_is_handled) {
    const SharedHappened happened;
    serve_badly(happened, Model::Thread, value_error);
    EXPECT_EQ(happened->called, 1);
    EXPECT_EQ(happened->handled, 1);
}

// ErrorHandlerTest.test_threading_not_handled
TEST(Socketserver, an_exit_in_a_thread_is_no_error_and_ends_that_thread_alone) {
    const SharedHappened happened;
    EXPECT_NO_THROW(serve_badly(happened, Model::Thread, system_exit));
    EXPECT_EQ(happened->called, 1);
    EXPECT_EQ(happened->handled, 0);
}

// ErrorHandlerTest.test_forking_handled
TEST(Socketserver, an_error_in_a_child_is_handled) {
    const SharedHappened happened;
    serve_badly(happened, Model::Fork, value_error);
    EXPECT_EQ(happened->called, 1);
    EXPECT_EQ(happened->handled, 1);
}

// ErrorHandlerTest.test_forking_not_handled
TEST(Socketserver, an_exit_in_a_child_is_no_error_and_ends_that_child_alone) {
    const SharedHappened happened;
    EXPECT_NO_THROW(serve_badly(happened, Model::Fork, system_exit));
    EXPECT_EQ(happened->called, 1);
    EXPECT_EQ(happened->handled, 0);
}

// --- SocketWriterTest ---

// SocketWriterTest.test_basics
TEST(Socketserver, a_connection_is_a_stream_over_its_own_socket) {
    static_assert(std::is_convertible_v<decltype(std::declval<BlockingConnection&>().stream()), std::istream&>);
    static_assert(std::is_convertible_v<decltype(std::declval<BlockingConnection&>().stream()), std::ostream&>);
    static_assert(!std::is_convertible_v<decltype(std::declval<BlockingConnection&>().stream()), std::iostream&>,
                  "whose output would end with its input");
    std::optional<Endpoint> peer;
    Server server{Does::entry([&](BlockingConnection& client) {
                      EXPECT_EQ(SocketAddress::peer_of(client.fd()).to_endpoint(SOCK_STREAM), client.peer());
                      peer = client.peer();
                  }),
                  {.listen = tcp}};
    const UniqueFd client = dial(server.server_address());
    ASSERT_TRUE(server.handle_request(no_patience_needed));
    EXPECT_EQ(peer, local_endpoint(client.get()));
}

// SocketWriterTest.test_write
TEST(Socketserver, a_write_arrives_without_a_flush_and_a_huge_one_survives_signals) {
    const std::string huge(16 * 1024 * 1024 + 1, '\0');
    std::error_code small_error = std::make_error_code(std::errc::io_error);
    std::error_code huge_error = small_error;
    std::string received;
    Server server{Does::entry([&](BlockingConnection& client) {
                      small_error = client.write("write data\n");
                      received = client.read_some().text();
                      huge_error = client.write(huge);
                  }),
                  {.listen = tcp}};

    struct sigaction interrupt {};
    struct sigaction before {};
    interrupt.sa_handler = [](int) {};  // without SA_RESTART
    check(::sigaction(SIGUSR1, &interrupt, &before), "handle SIGUSR1");
    std::string first;
    std::size_t got = 0;
    std::thread client_thread{[&, server_thread = ::pthread_self()] {
        const UniqueFd client = dial(server.server_address());
        first = hear(client.get());  // while the handler waits for us
        say(client.get(), "client response\n");
        got = hear(client.get(), 100).size();
        ::pthread_kill(server_thread, SIGUSR1);  // while the huge write waits for us
        for (std::string chunk = "begin"; !chunk.empty(); got += chunk.size()) chunk = hear(client.get(), 1 << 20);
    }};
    EXPECT_TRUE(server.handle_request(no_patience_needed));
    client_thread.join();
    check(::sigaction(SIGUSR1, &before, nullptr), "restore SIGUSR1");

    EXPECT_EQ(first, "write data\n");
    EXPECT_FALSE(small_error);
    EXPECT_EQ(received, "client response\n");
    EXPECT_FALSE(huge_error);
    EXPECT_EQ(got, huge.size());
}

// --- MiscTestCase ---

// MiscTestCase.test_shutdown_request_called_if_verify_request_false (bpo-26309)
TEST(Socketserver, a_client_that_verify_refuses_sees_the_end_of_the_stream) {
    class Refuses : public EchoLine {
        bool verify(const Endpoint&) override { return false; }
    };
    Server server{handler<Refuses>("refuses"), {.listen = tcp}};
    const UniqueFd client = dial(server.server_address());
    EXPECT_TRUE(server.handle_request(no_patience_needed));
    EXPECT_EQ(hear(client.get()), "");
}

// MiscTestCase.test_threads_reaped (bpo-37193)
TEST(Socketserver, threads_that_have_ended_are_not_kept) {
    const std::size_t before = threads();
    Server server{handler<EchoLine>("echo"), {.listen = tcp, .model = Model::Thread}};
    for (int client = 0; client < 10; ++client) {
        (void)dial(server.server_address());
        EXPECT_TRUE(server.handle_request(no_patience_needed));
    }
    EXPECT_EQ(threads(), before);
}

}  // namespace preforkd::testing
