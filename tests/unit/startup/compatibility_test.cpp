#include "daemon/startup/compatibility.hpp"

#include <gtest/gtest.h>

#include <array>

#include "preforkd/handler_entry.hpp"

namespace preforkd {
namespace {

struct Coroutine : StreamHandler {
    awaitable<void> serve(Connection&) override { co_return; }
};

struct OnlyAsync : Coroutine {
    static constexpr auto models = {Model::Async};
    static constexpr std::string_view why_models = "its store is in the worker's memory";
};

struct ThreadOrFork : Coroutine {
    static constexpr std::array models{Model::Thread, Model::Serial, Model::Fork};
};

std::string refusal(const HandlerEntry& entry, Model model) {
    return why_not(entry, Transport::Tcp, model).value_or("served");
}

TEST(Compatibility, a_handler_that_says_nothing_allows_every_model) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork})
        EXPECT_EQ(refusal(handler<Coroutine>("any"), model), "served") << to_string(model);
}

TEST(Compatibility, a_model_that_a_handler_does_not_allow_is_refused_with_its_authors_words) {
    const HandlerEntry entry = handler<OnlyAsync>("store");
    EXPECT_EQ(refusal(entry, Model::Async), "served");
    EXPECT_EQ(refusal(entry, Model::Fork),
              "handler store does not allow --model fork: its store is in the worker's memory; use async");
}

TEST(Compatibility, what_a_handler_allows_is_named) {
    const HandlerEntry entry = handler<ThreadOrFork>("calls");
    EXPECT_EQ(refusal(entry, Model::Fork), "served");
    EXPECT_EQ(refusal(entry, Model::Async), "handler calls does not allow --model async; use thread, serial or fork");
}

TEST(Compatibility, the_first_model_that_a_handler_allows_is_its_own_unless_that_of_its_kind_is_among_them) {
    EXPECT_EQ(handler<ThreadOrFork>("calls").model, Model::Thread);
    EXPECT_EQ(handler<OnlyAsync>("store").model, Model::Async);
}

}  // namespace
}  // namespace preforkd
