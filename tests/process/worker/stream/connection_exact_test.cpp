// Connection: reads of so many bytes, into the caller's own, and writes of several parts.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "daemon/worker/stream/connection_tls.hpp"
#include "daemon/worker/stream/gathered.hpp"
#include "tests/process/connection_fixture.hpp"
#include "tests/process/tls_client_side.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

class ExactReads : public testing::ConnectedClient {
protected:
    ExactReads() : ConnectedClient{10s} {}

    /// In a moment, when what was said before has been read.
    void say_later(std::string_view text, bool and_end = false) {
        timer_ = loop.reactor.make_timer();
        timer_->set(1ms, [this, text, and_end] {
            say(text);
            if (and_end) end();
        });
    }

    [[nodiscard]] std::string heard() const {
        std::string text(1 << 16, '\0');
        const ssize_t got = ::recv(client.get(), text.data(), text.size(), MSG_DONTWAIT);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }

private:
    std::unique_ptr<Timer> timer_{};
};

TEST_F(ExactReads, so_many_bytes_come_together_however_they_were_sent) {
    say("12");
    serve([&](Connection& connection) -> awaitable<void> {
        say_later("345rest");
        EXPECT_EQ((co_await connection.read_exactly(4)).text(), "1234");
        EXPECT_EQ(connection.buffered().text(), "5rest") << "what came along is kept";
        EXPECT_EQ((co_await connection.read_exactly(1)).text(), "5");
        EXPECT_EQ((co_await connection.read_some()).text(), "rest");
        EXPECT_FALSE(connection.buffered());
    });
}

TEST_F(ExactReads, a_look_ahead_takes_nothing) {
    say("GET / HTTP/1.1\r\n");
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.peek()).text(), "G");
        EXPECT_EQ((co_await connection.peek(4)).text(), "GET ");
        EXPECT_EQ(connection.buffered().text(), "GET / HTTP/1.1\r\n");
        EXPECT_EQ((co_await connection.read_line()).line(), "GET / HTTP/1.1");
    });
}

TEST_F(ExactReads, an_end_before_them_is_an_end_and_one_between_them_an_error) {
    say("abc");
    end();
    serve([&](Connection& connection) -> awaitable<void> {
        const Received cut = co_await connection.read_exactly(4);
        EXPECT_FALSE(cut);
        EXPECT_EQ(cut.error, std::errc::connection_aborted);
        EXPECT_EQ(connection.buffered().text(), "abc");
        EXPECT_EQ((co_await connection.read_exactly(3)).text(), "abc");
        const Received over = co_await connection.read_exactly(1);
        EXPECT_FALSE(over);
        EXPECT_FALSE(over.error);
    });
}

TEST_F(ExactReads, more_than_a_buffer_holds_needs_one_of_the_handlers_own) {
    const std::string much(100'000, 'x');
    say(much);
    say_later("yy!", true);
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_exactly(Connection::longest_read_bytes + 1)).error,
                  std::errc::message_size);
        EXPECT_EQ((co_await connection.read_exactly(1)).text(), "x");
        EXPECT_TRUE(connection.buffered());
        std::vector<std::byte> space(100'001);
        const Received all = co_await connection.read_exactly(space);
        EXPECT_EQ(all.bytes.data(), space.data());
        EXPECT_EQ(all.text(), much.substr(1) + "yy");
        const Received rest = co_await connection.read_some(space);
        EXPECT_EQ(rest.text(), "!");
        EXPECT_FALSE(co_await connection.read_some(space));
        const Received cut = co_await connection.read_exactly(space);
        EXPECT_FALSE(cut || cut.error) << "nothing of it has come";
    });
}

TEST_F(ExactReads, a_read_into_a_buffer_takes_more_than_ours_at_once) {
    const std::string much(150'000, 'x');
    say(much);
    serve([&](Connection& connection) -> awaitable<void> {
        std::vector<std::byte> space(much.size());
        EXPECT_EQ((co_await connection.read_some(space)).text(), much);
    });
}

TEST_F(ExactReads, an_end_between_the_bytes_of_a_buffer_is_an_error_too) {
    say("abc");
    end();
    serve([&](Connection& connection) -> awaitable<void> {
        std::array<std::byte, 4> space{};
        EXPECT_EQ((co_await connection.read_exactly(space)).error, std::errc::connection_aborted);
    });
}

TEST_F(ExactReads, what_is_late_is_not_waited_for) {
    say("abc");
    serve([&](Connection& connection) -> awaitable<void> {
        connection.timeout(20ms);
        EXPECT_EQ((co_await connection.read_exactly(4)).error, std::errc::timed_out);
        EXPECT_EQ(connection.buffered().text(), "abc");
        std::array<std::byte, 4> space{};
        EXPECT_EQ((co_await connection.read_exactly(space)).error, std::errc::timed_out);
    });
}

TEST_F(ExactReads, parts_are_written_as_one) {
    serve([&](Connection& connection) -> awaitable<void> {
        const std::string head = "head ";
        const std::string_view body = "body";
        EXPECT_FALSE(co_await connection.write({head, body}));
        EXPECT_EQ(heard(), "head body");
        EXPECT_FALSE(co_await connection.write({"two", "literals"}));
        EXPECT_EQ(heard(), "twoliterals");
        const auto bytes = std::as_bytes(std::span{body});
        EXPECT_FALSE(co_await connection.write({bytes, std::string{}, bytes.first(1)}));
        EXPECT_EQ(heard(), "bodyb");
        EXPECT_FALSE(co_await connection.write_last({head, "", "end"}));
        EXPECT_EQ(heard(), "head end");
    });
    EXPECT_EQ(record.traffic.sent.load(), 9u + 11u + 5u + 8u);
    EXPECT_TRUE(core->output_ended);
}

TEST_F(ExactReads, parts_that_a_socket_does_not_hold_arrive_whole) {
    const std::string first(1'000'000, 'a');
    const std::string second(2'000'000, 'b');
    std::string taken;
    beside = [&] { taken += heard(); };
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_FALSE(co_await connection.write({first, "-", second}));
    });
    for (std::string rest = heard(); !rest.empty(); rest = heard()) taken += rest;
    EXPECT_TRUE(taken == first + "-" + second);
}

class TlsParts : public ExactReads, protected testing::TlsClientSide {
protected:
    TlsParts() : TlsClientSide{client.get()} {
        beside = [this] {
            if (!shaken) (void)stream->handshake();
        };
    }

    [[nodiscard]] std::size_t next_record_bytes() {
        std::vector<std::byte> space(1 << 16);
        return stream->read(space).bytes;
    }
    bool shaken = false;
};

TEST_F(TlsParts, make_one_record_where_they_fit) {
    serve([&](Connection& connection) -> awaitable<void> {
        shaken = co_await begin_tls(*core, listener);
        EXPECT_FALSE(co_await connection.write({"head ", "body"}));
        EXPECT_EQ(next_record_bytes(), 9u);
        const std::string body(20'000, 'x');
        EXPECT_FALSE(co_await connection.write({"head", body}));
        EXPECT_EQ(next_record_bytes(), longest_record_bytes);
        EXPECT_EQ(next_record_bytes(), 20'004 - longest_record_bytes);
        EXPECT_EQ(next_record_bytes(), 0u);
    });
}

TEST_F(TlsParts, bytes_that_tls_has_decrypted_are_read_to_the_last) {
    serve([&](Connection& connection) -> awaitable<void> {
        shaken = co_await begin_tls(*core, listener);
        const std::string record(10'000, 'x');
        EXPECT_EQ(stream->write(std::as_bytes(std::span{record})).bytes, record.size());
        std::array<std::byte, 4> few{};
        EXPECT_EQ((co_await connection.read_exactly(few)).text(), "xxxx");
        std::vector<std::byte> rest(record.size() - few.size());
        EXPECT_TRUE(co_await connection.read_exactly(rest)) << "which no poll(2) tells of";
    });
}

}  // namespace
}  // namespace preforkd
