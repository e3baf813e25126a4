#include "daemon/ctl/send.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sending.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace ::testing;
using namespace preforkd::testing;

class EveryStream : public TestWithParam<const char*> {
protected:
    static std::string where() { return GetParam() == std::string{"tcp"} ? some_tcp : abstract_name("unix"); }
};
INSTANTIATE_TEST_SUITE_P(Send, EveryStream, Values("tcp", "unix"));

TEST_P(EveryStream, the_server_reads_the_text_to_its_end_and_its_answer_is_passed_on) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .text = "good morning"}};
    UniqueFd client = server.accept();
    EXPECT_EQ(wait_and_read_to_end(client.get()), "good morning");
    write_all(client.get(), "good");
    EXPECT_EQ(sending.answer_so_far(), "good");  // before the answer has ended
    write_all(client.get(), " night");
    close_early(client);
    EXPECT_EQ(sending.rest_of_answer(), " night");
    EXPECT_EQ(sending.complaint(), "");
}

TEST_P(EveryStream, input_is_sent_as_it_comes_and_ends_the_text_where_it_ends) {
    const Server server{where()};
    Sending sending{{.endpoint = server.endpoint, .text = std::nullopt}};
    UniqueFd client = server.accept();
    for (const std::string line : {"one\n", "two\n"}) {
        sending.type(line);
        EXPECT_EQ(read_some(client.get()), line);
        write_all(client.get(), "> " + line);
        EXPECT_EQ(sending.answer_so_far(), "> " + line);
    }
    sending.end_input();
    EXPECT_EQ(read_some(client.get()), "");
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
}

TEST(SendStream, waiting_for_input_is_not_the_servers_fault) {
    const Server server{some_tcp};
    Sending sending{{.endpoint = server.endpoint, .text = std::nullopt, .timeout = 100ms}};
    UniqueFd client = server.accept();
    EXPECT_FALSE(comes(sending.answer_fd(), POLLIN, 200));  // neither an answer nor its end
    sending.end_input();
    EXPECT_EQ(read_some(client.get()), "");
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
}

TEST(SendStream, the_end_of_the_answer_ends_it_although_there_may_be_more_input) {
    const Server server{some_tcp};
    Sending sending{{.endpoint = server.endpoint, .text = std::nullopt}};
    UniqueFd client = server.accept();
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
}

TEST(SendStream, more_input_than_any_buffer_holds_arrives_whole) {
    const Server server{some_tcp};
    Sending sending{{.endpoint = server.endpoint, .text = std::nullopt}};
    const std::string text(3'000'000, 'x');
    auto typing = std::async(std::launch::async, [&] {
        sending.type(text);
        sending.end_input();
    });
    UniqueFd client = server.accept();
    EXPECT_EQ(wait_and_read_to_end(client.get()).size(), text.size());
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
}

TEST(SendStream, a_directory_is_no_input) {
    const Server server{some_tcp};
    const UniqueFd directory{::open("/", O_RDONLY | O_CLOEXEC)};
    try {
        send({.endpoint = server.endpoint, .text = std::nullopt}, {.input = directory.get()});
        FAIL() << "took it";
    } catch (const std::runtime_error& error) { EXPECT_STREQ(error.what(), "read standard input: Is a directory"); }
}

TEST(SendStream, an_expected_text_in_two_pieces_ends_it_while_the_server_goes_on) {
    const Server server{some_tcp};
    Sending sending{{.endpoint = server.endpoint, .expect = "connected", .timeout = 0ms}};
    const UniqueFd client = server.accept();
    write_all(client.get(), "conn");
    EXPECT_EQ(sending.answer_so_far(), "conn");
    write_all(client.get(), "ected\n");
    EXPECT_EQ(sending.complaint(), "");
}

TEST(SendStream, another_answer_than_the_expected_one_is_shown_and_refused) {
    const Server server{some_tcp};
    Sending sending{{.endpoint = server.endpoint, .expect = "connected"}};
    UniqueFd client = server.accept();
    (void)wait_and_read_to_end(client.get());
    write_all(client.get(), "go away\n");
    close_early(client);
    EXPECT_EQ(sending.rest_of_answer(), "go away\n");
    EXPECT_THAT(sending.complaint(), HasSubstr("the answer (8 bytes) does not contain --expect \"connected\""));
}

TEST(SendStream, a_server_that_never_pauses_does_not_outrun_the_timeout) {
    const Server server{some_tcp};
    auto talking = std::async(std::launch::async, [&] {
        const UniqueFd client = server.accept();
        const std::string text(10'000, 'x');
        while (::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0) continue;
    });
    const UniqueFd nowhere{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    try {
        send({.endpoint = server.endpoint, .expect = "end", .timeout = 100ms}, {.answer = nowhere.get()});
        FAIL() << "found it";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr("--timeout 100ms"), HasSubstr("without --expect \"end\"")));
    }
}

TEST(SendStream, a_silent_server_is_named) {
    const Server server{some_tcp};
    Sending sending{{.endpoint = server.endpoint, .timeout = 50ms}};
    EXPECT_EQ(sending.complaint(), to_string(server.endpoint) + ": no answer within --timeout 50ms");
}

TEST(SendStream, a_full_unix_queue_is_waited_for) {
    const Server server{abstract_name("unix"), 0};
    const UniqueFd first{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    const SocketAddress address = resolve(server.endpoint).at(0);
    check(::connect(first.get(), address.data(), address.size()), "connect");

    Sending impatient{{.endpoint = server.endpoint, .timeout = 50ms}};
    EXPECT_THAT(impatient.complaint(), HasSubstr("--timeout gives it longer"));

    Sending sending{{.endpoint = server.endpoint}};
    (void)server.accept();
    UniqueFd client = server.accept();
    EXPECT_EQ(wait_and_read_to_end(client.get()), "hello from client");
    close_early(client);
    EXPECT_EQ(sending.complaint(), "");
}

}  // namespace
}  // namespace preforkd
