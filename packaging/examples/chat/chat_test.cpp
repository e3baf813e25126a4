// The handler in a test of its own: the test kit is its client.
#include <gtest/gtest.h>
#include <preforkd/test.hpp>

#include "chat.hpp"

namespace {

using preforkd::test::Client;

TEST(Chat, all_hear_what_one_says) {
    Chat chat;
    preforkd::test::Service service{chat};
    Client one{service};
    Client two{service};
    one.send("one\n");
    (void)one.receive_until("one\n");  // by now it takes part
    two.send("two\n");
    (void)two.receive_until("two\n");
    EXPECT_EQ(one.receive_line(), "two\n");
    one.send("hello\n");
    EXPECT_EQ(one.receive_line(), "hello\n");
    EXPECT_EQ(two.receive_line(), "hello\n");
}

TEST(Chat, who_ends_its_input_is_done) {
    Chat chat;
    Client client{chat};
    client.send("I go\n");
    EXPECT_EQ(client.receive_line(), "I go\n");
    client.half_close();
    EXPECT_EQ(client.receive_all(), "");
}

}  // namespace
