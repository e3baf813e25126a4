// The handler in a test of its own: the test kit is its client.
#include <gtest/gtest.h>
#include <preforkd/test.hpp>

#include "store.hpp"

namespace {

TEST(Store, what_was_never_set_is_nothing) {
    Store store;
    preforkd::test::Client client{store};
    client.send("GET nothing\r\n");
    EXPECT_EQ(client.receive(), "$-1\r\n");
}

TEST(Store, counts_for_all_clients_in_every_model) {
    for (const auto model :
         {preforkd::Model::Async, preforkd::Model::Serial, preforkd::Model::Thread, preforkd::Model::Fork}) {
        Store store;
        preforkd::test::Service service{store, {.model = model}};
        const std::string name{to_string(model)};
        for (const char* expected : {":8\r\n", ":9\r\n"}) {
            preforkd::test::Client client{service};
            if (expected == std::string{":8\r\n"}) {
                client.send("SET " + name + " 7\r\n");
                EXPECT_EQ(client.receive_line(), "+OK\r\n");
            }
            client.send("*2\r\n$4\r\nINCR\r\n$" + std::to_string(name.size()) + "\r\n" + name + "\r\n");
            EXPECT_EQ(client.receive(), expected) << name;
        }
    }
}

TEST(Store, what_is_no_number_is_refused) {
    Store store;
    preforkd::test::Client client{store};
    client.send("SET a b\r\n");
    EXPECT_EQ(client.receive(), "-ERR value is not an integer\r\n");
}

}  // namespace
