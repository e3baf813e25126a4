#include "preforkd/server.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <span>
#include <stdexcept>

#include "common/tls/self_signed.hpp"
#include "common/tls/tls_client.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/log_fixture.hpp"
#include "tests/process/socketserver_fixture.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd::testing {

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const std::string tcp = "tcp://127.0.0.1:0";

std::string ask(const Server& server, const std::string& text) {
    const UniqueFd client = dial(server.server_address());
    say(client.get(), text);
    return hear(client.get());
}

class DiscardAll : public StreamHandler {
    awaitable<void> serve(Connection& client) override {
        for (;;) {
            const Received chunk = co_await client.read_some();
            if (!chunk) co_return;
        }
    }
};

}  // namespace

TEST(Server, handle_request_serves_exactly_one) {
    for (const Model model : {Model::Serial, Model::Thread, Model::Fork}) {
        Server server{handler<EchoLine>("echo"), {.listen = tcp, .model = model}};
        const UniqueFd first = dial(server.server_address());
        const UniqueFd second = dial(server.server_address());
        say(first.get(), "first\n");
        say(second.get(), "second\n");
        EXPECT_TRUE(server.handle_request(no_patience_needed));
        EXPECT_EQ(hear(first.get()), "first\n");
        EXPECT_FALSE(is_readable(second.get()));
        EXPECT_TRUE(server.handle_request(no_patience_needed));
        EXPECT_EQ(hear(second.get()), "second\n");
    }
}

TEST(Server, a_handler_of_both_kinds_is_made_once) {
    static int made = 0;
    class Counted : public EchoLine {
    public:
        Counted() { ++made; }
    };
    const Server server{handler<Counted>("counted"), {.listen = tcp}};
    EXPECT_EQ(made, 1);
}

TEST(Server, handle_request_gives_up_when_nobody_comes) {
    Server server{handler<EchoLine>("echo"), {.listen = tcp}};
    EXPECT_FALSE(server.handle_request(std::chrono::milliseconds{1}));
}

TEST(Server, what_is_served_at_tls_is_served_over_tls) {
    const std::string file = ::testing::TempDir() + "server-" + std::to_string(::getpid()) + ".pem";
    const CertificatePair pair = make_self_signed({"localhost"}, std::chrono::days{1});
    std::ofstream{file} << pair.certificate << pair.key;
    const std::string listen = "tls://127.0.0.1:0 certificate=" + file + " key=" + file;
    EXPECT_THAT(([&] {
                    Server{handler<EchoLine>("echo"), {.listen = listen + " key-process=yes"}};
                }),
                ThrowsMessage<std::invalid_argument>(HasSubstr("leave key-process= away")));
    Server server{handler<EchoLine>("echo"), {.listen = listen}};
    std::remove(file.c_str());
    const Serving serving{server};
    const UniqueFd socket = dial(server.server_address());
    TlsClient client{{.verifies = false}};
    const auto stream = client.connect(socket.get());
    const auto finish = [&](const auto& call) {
        TlsResult result = call();
        for (; result.kind == TlsResult::Kind::WantsInput; result = call())
            if (!comes(socket.get())) break;
        return result;
    };
    ASSERT_EQ(finish([&] { return stream->handshake(); }).kind, TlsResult::Kind::Done);
    const std::string text = "hello\n";
    ASSERT_EQ(stream->write(std::as_bytes(std::span{text})).bytes, text.size());
    std::array<std::byte, 64> space{};
    const TlsResult got = finish([&] { return stream->read(space); });
    EXPECT_EQ((std::string{reinterpret_cast<const char*>(space.data()), got.bytes}), text);
}

TEST(Server, serves_again_after_a_shutdown) {
    Server server{handler<EchoLine>("echo"), {.listen = tcp}};
    for (int round = 0; round < 3; ++round) {
        Serving serving{server};
        EXPECT_EQ(ask(server, "hello\n"), "hello\n");
    }
}

TEST(Server, limits_the_clients_of_a_source_and_of_all_and_forgets_who_was_cut) {
    for (const Model model : {Model::Serial, Model::Thread, Model::Fork}) {
        Server server{handler<EchoLine>("echo"),
                      {.listen = tcp + " per-source=1 max=1 refuse-with=full",
                       .model = model,
                       .stop_timeout = std::chrono::milliseconds{1}}};
        for (int round = 0; round < 2; ++round) {
            Serving serving{server};
            const UniqueFd client = dial(server.server_address());
            say(client.get(), "h");
            const UniqueFd waiting = dial(server.server_address());
            say(waiting.get(), "hello\n");
            EXPECT_FALSE(is_readable(waiting.get()));
            say(client.get(), "i\n");
            EXPECT_EQ(hear(client.get()), "hi\n");
            EXPECT_EQ(hear(waiting.get()), "hello\n");
            const UniqueFd cut = dial(server.server_address());
            say(cut.get(), "nothing whole");
        }
    }
    Server server{handler<EchoLine>("echo"), {.listen = tcp + " deny=127.0.0.0/8 refuse-with=no"}};
    const Serving serving{server};
    const UniqueFd client = dial(server.server_address());
    EXPECT_EQ(hear(client.get()), "no\n");
}

/// One whose log can be read.
class LoggingServer : public log_test::Log {};

TEST_F(LoggingServer, tells_how_long_a_client_has_waited_where_its_endpoint_asks_for_the_end) {
    const log_test::Pair error = log_test::make_pipe();
    use_as_stderr(error);
    open_log({.format = LogFormat::Text});
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        const HandlerEntry entry =
            model == Model::Async ? handler<DiscardAll>("discard") : HandlerEntry{handler<EchoLine>("echo")};
        Server server{entry, {.listen = tcp + " log-connections=end", .model = model}};
        const UniqueFd client = dial(server.server_address());
        say(client.get(), "hello\n");
        ::shutdown(client.get(), SHUT_WR);
        EXPECT_FALSE(comes(client.get(), POLLIN, 200)) << "nobody serves yet";
        {
            const Serving serving{server};
            EXPECT_EQ(hear(client.get()), model == Model::Async ? "" : "hello\n");
        }
        const std::vector<std::string> lines = log_test::lines_of(log_test::drain(error.far.get()));
        ASSERT_THAT(lines, ElementsAre(AllOf(HasSubstr(" ended after "), HasSubstr(" ms in the accept queue"))));
        const std::string field = " accept_wait_ms=";
        ASSERT_THAT(lines.front(), HasSubstr(field));
        EXPECT_GE(std::stoi(lines.front().substr(lines.front().find(field) + field.size())), 190);
    }
}

TEST(Server, keeps_clients_waiting_in_the_queue_between_two_servings) {
    Server server{handler<EchoLine>("echo"), {.listen = tcp}};
    { const Serving serving{server}; }
    const UniqueFd client = dial(server.server_address());
    say(client.get(), "patient\n");
    const Serving serving{server};
    EXPECT_EQ(hear(client.get()), "patient\n");
}

TEST(Server, a_handler_may_shut_its_own_server_down) {
    for (const Model model : {Model::Serial, Model::Thread}) {
        Server* running = nullptr;
        HandlerEntry entry = Does::entry([&](BlockingConnection& client) {
            running->shutdown();
            (void)client.write("bye\n");
        });
        Server server{entry, {.listen = tcp, .model = model}};
        running = &server;
        const UniqueFd client = dial(server.server_address());
        server.serve_forever();
        EXPECT_EQ(hear(client.get()), "bye\n");
    }
}

TEST(Server, the_handler_is_made_once_and_keeps_its_state) {
    class Counts : public BlockingHandler {
        void serve(BlockingConnection& client) override { client.stream() << ++requests_; }
        int requests_ = 0;
    };
    Server server{handler<Counts>("counts"), {.listen = tcp}};
    for (const std::string expected : {"1", "2", "3"}) {
        const UniqueFd client = dial(server.server_address());
        EXPECT_TRUE(server.handle_request(no_patience_needed));
        EXPECT_EQ(hear(client.get()), expected);
    }
}

TEST(Server, serves_coroutines) {
    class Echo : public StreamHandler {
        awaitable<void> serve(Connection& client) override {
            while (const auto chunk = co_await client.read_some())
                if (co_await client.write(chunk.bytes)) co_return;
        }
    };
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        Server server{handler<Echo>("echo"), {.listen = tcp, .model = model}};
        const Serving serving{server};
        EXPECT_EQ(ask(server, "hello"), "hello");
    }
}

TEST(Server, shutdown_waits_for_a_request_that_runs_no_longer_than_stop_timeout) {
    const std::size_t before = threads();
    Server server{handler<EchoLine>("echo"),
                  {.listen = tcp, .model = Model::Thread, .stop_timeout = std::chrono::milliseconds{1}}};
    const UniqueFd silent = dial(server.server_address());
    Serving serving{server};
    EXPECT_EQ(ask(server, "hello\n"), "hello\n");  // so the silent one, who came first, is being served
    serving.stop();                                // within the test's own time limit, long before --idle-timeout
    EXPECT_EQ(threads(), before);
}

TEST(Server, leaves_the_signals_of_the_process_alone) {
    const auto signals = [] {
        std::vector<std::pair<bool, void (*)(int)>> all;  // blocked, action
        sigset_t blocked;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        for (int signo = 1; signo < SIGRTMIN; ++signo) {
            struct sigaction action {};
            (void)::sigaction(signo, nullptr, &action);
            all.emplace_back(::sigismember(&blocked, signo) == 1, action.sa_handler);
        }
        return all;
    };
    const auto before = signals();
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork}) {
        Server server{handler<DiscardAll>("discard"), {.listen = tcp, .model = model}};
        (void)dial(server.server_address());
        EXPECT_TRUE(server.handle_request(no_patience_needed));
        EXPECT_EQ(signals(), before);
    }
}

TEST(Server, serves_by_children_where_sigchld_is_ignored_and_says_once_what_that_costs) {
    Pipe errors = make_pipe();
    const std::string answers = in_child([&] {
        ::dup2(errors.writer.get(), STDERR_FILENO);
        log_to_standard_error();
        ::signal(SIGCHLD, SIG_IGN);
        Server server{handler<EchoLine>("echo"), {.listen = tcp, .model = Model::Fork}};
        const Serving serving{server};
        return ask(server, "one\n") + ask(server, "two\n") + ask(server, "three\n");
    });
    EXPECT_EQ(answers, "one\ntwo\nthree\n");
    errors.writer = UniqueFd{};
    const std::string said = read_to_end(errors.reader.get());
    EXPECT_THAT(said, HasSubstr("SIGCHLD is ignored"));
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
}

TEST(Server, removes_the_unix_path_that_it_made) {
    const SocketPath path;
    Server server{handler<EchoLine>("echo"), {.listen = "unix://" + path.text()}};
    EXPECT_TRUE(std::filesystem::exists(path.text()));
    server.server_close();
    EXPECT_FALSE(std::filesystem::exists(path.text()));
}

TEST(Server, a_closed_server_does_not_serve) {
    Server server{handler<EchoLine>("echo"), {.listen = tcp}};
    server.server_close();
    server.server_close();
    EXPECT_THROW(server.serve_forever(), std::logic_error);
}

TEST(Server, a_handler_that_does_not_fit_is_refused_with_a_sentence) {
    class Datagrams : public DatagramHandler {
        void serve(Datagram&) override {}
    };
    EXPECT_THAT([] { Server(handler<Datagrams>("notes"), {.listen = tcp}); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("notes serves datagrams only")));
    EXPECT_THAT([] { Server(handler<EchoLine>("echo"), {.listen = tcp, .model = Model::Async}); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("blocks")));
}

TEST(Server, a_constructor_of_the_handler_that_throws_leaves_nothing_open) {
    class Broken : public BlockingHandler {
    public:
        Broken() { throw std::domain_error{"broken"}; }
        void serve(BlockingConnection&) override {}
    };
    const std::size_t before = open_descriptors();
    EXPECT_THROW((Server{handler<Broken>("broken"), {.listen = tcp}}), std::domain_error);
    EXPECT_EQ(open_descriptors(), before);
}

}  // namespace preforkd::testing
