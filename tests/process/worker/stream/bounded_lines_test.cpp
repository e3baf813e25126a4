#include <gtest/gtest.h>

#include <string>

#include "daemon/worker/stream/blocking_core.hpp"
#include "here.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace testing;

constexpr std::size_t limit_bytes = 100;
constexpr std::size_t longer_than_buffers = 100'000;
constexpr std::size_t buffer_bytes = 8192;

/// A connection whose lines are bounded, and a client that has sent something and ended its output.
struct Served {
    explicit Served(const std::string& sent, std::size_t line_max_bytes = limit_bytes)
        : how{.idle_timeout = 30s, .line_max_bytes = line_max_bytes, .stop = whistle, .record = record} {
        client.send(sent);
        client.half_close();
    }

    Client client{};
    Whistle whistle{};
    WorkerRecord record{};
    ServeHere how;
    BlockingCore core{std::move(client.accepted), client.address, how};
    BlockingConnection connection{core};
    ClientStream& stream = connection.stream();
    std::string text{};
};

const std::string longest(limit_bytes, 'x');
const std::string endless(longer_than_buffers, 'x');

TEST(BoundedLines, a_line_may_be_as_long_as_the_limit) {
    Served served{longest + '\n' + longest + "\n" + longest};
    for (int line = 0; line < 3; ++line) {
        EXPECT_TRUE(getline(served.stream, served.text)) << line;
        EXPECT_EQ(served.text, longest);
    }
    EXPECT_TRUE(served.stream.eof());
    EXPECT_FALSE(getline(served.stream, served.text));
    EXPECT_FALSE(served.stream.bad());
    EXPECT_FALSE(served.connection.last_error());
}

TEST(BoundedLines, a_longer_one_is_read_no_further_and_makes_the_stream_bad) {
    for (const std::string& line : {longest + "x\n", endless}) {
        Served served{"before\n" + line};
        EXPECT_TRUE(getline(served.stream, served.text));
        EXPECT_FALSE(getline(served.stream, served.text));
        EXPECT_TRUE(served.stream.bad());
        EXPECT_EQ(served.connection.last_error(), std::errc::message_size);
        EXPECT_EQ(served.text.size(), limit_bytes + 1);
    }
}

TEST(BoundedLines, what_ends_a_line_is_the_caller_s_choice) {
    Served served{longest + '\0' + "new\nline" + std::string(limit_bytes / 2, '\n') + longest};
    EXPECT_TRUE(getline(served.stream, served.text, '\0'));
    EXPECT_EQ(served.text, longest);
    EXPECT_FALSE(getline(served.stream, served.text, '\0'));
    EXPECT_TRUE(served.stream.bad());
}

TEST(BoundedLines, a_word_is_bounded_likewise) {
    Served served{"  " + longest + " \n" + longest + "x"};
    EXPECT_TRUE(served.stream >> served.text);
    EXPECT_EQ(served.text, longest);
    EXPECT_FALSE(served.stream >> served.text);
    EXPECT_TRUE(served.stream.bad());
}

TEST(BoundedLines, the_standard_s_getline_is_bounded_by_a_buffer_more) {
    Served served{"before\n" + endless};
    std::istream& input = served.connection.input();
    EXPECT_TRUE(std::getline(input, served.text));
    EXPECT_FALSE(std::getline(input, served.text));
    EXPECT_TRUE(input.bad());
    EXPECT_EQ(served.connection.last_error(), std::errc::message_size);
    EXPECT_LE(served.text.size(), limit_bytes + buffer_bytes + 1);
}

TEST(BoundedLines, so_are_the_digits_of_a_number) {
    Served served{std::string(longer_than_buffers, '1')};
    double number = 0;
    EXPECT_FALSE(served.stream >> number);
    EXPECT_TRUE(served.stream.bad());
}

TEST(BoundedLines, bytes_are_not) {
    Served taken_singly{endless};
    std::size_t count = 0;
    for (char byte; taken_singly.stream.get(byte);) ++count;
    EXPECT_EQ(count, longer_than_buffers);

    Served at_once{endless};
    at_once.text.resize(longer_than_buffers);
    EXPECT_TRUE(at_once.stream.read(at_once.text.data(), longer_than_buffers));
    EXPECT_EQ(at_once.text, endless);
}

TEST(BoundedLines, bytes_before_a_line_are_no_part_of_it) {
    for (const std::size_t size : {limit_bytes, std::size_t{5 * buffer_bytes + 7}}) {
        Served served{std::string(size, '\1') + longest + "\n" + std::string(size, '\1') + longest + "\n"};
        std::string bytes(size, '\0');
        EXPECT_TRUE(served.stream.read(bytes.data(), static_cast<std::streamsize>(size)));
        EXPECT_TRUE(getline(served.stream, served.text));
        EXPECT_EQ(served.text, longest);
        for (char& byte : bytes) EXPECT_TRUE(served.stream.get(byte));
        EXPECT_TRUE(std::getline(served.connection.input(), served.text));
        EXPECT_EQ(served.text, longest);
    }
}

TEST(BoundedLines, a_handler_sets_a_limit_of_its_own_or_none) {
    Served served{longest + "x\n" + endless};
    served.connection.line_max(limit_bytes + 1);
    EXPECT_TRUE(getline(served.stream, served.text));
    served.connection.line_max(0);
    EXPECT_TRUE(getline(served.stream, served.text));
    EXPECT_EQ(served.text, endless);
}

TEST(BoundedLines, what_came_behind_a_line_that_was_too_long_is_still_there) {
    Served served{longest + "x and more"};
    EXPECT_FALSE(getline(served.stream, served.text));
    served.stream.clear();
    served.text.resize(limit_bytes);
    served.text.resize(static_cast<std::size_t>(served.stream.readsome(served.text.data(), limit_bytes)));
    EXPECT_EQ(served.text, " and more");
}

}  // namespace
}  // namespace preforkd
