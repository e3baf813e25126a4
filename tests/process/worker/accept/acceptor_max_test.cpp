#include <gtest/gtest.h>

#include "tests/process/acceptor_desk.hpp"

namespace preforkd {
namespace {

using testing::after_a_while;
using testing::Desk;

TEST(AcceptorMax, at_max_it_leaves_that_queue_until_one_of_its_own_has_gone) {
    Desk desk;
    desk.clients_come(2);
    desk.acceptor.open();
    EXPECT_TRUE(desk.play({{[&] { return desk.served.size() == 1; }, [&] { desk.failure = Acceptor::at_max; }},
                           {[&] { return desk.takes == 2; }, nullptr},
                           after_a_while([&] {
                               EXPECT_EQ(desk.takes, 2);
                               EXPECT_FALSE(desk.in_queue());
                               EXPECT_EQ(desk.siblings_asked, 0);
                               desk.failure = 0;
                               desk.let_go();
                               EXPECT_TRUE(desk.in_queue());
                           }),
                           {[&] { return desk.record.accepted == 2; }, nullptr}}));
}

TEST(AcceptorMax, at_max_it_looks_again_after_a_nudge_and_after_a_while) {
    for (const bool nudged : {true, false}) {
        Desk desk;
        desk.failure = Acceptor::at_max;
        desk.clients_come(1);
        desk.acceptor.open();
        EXPECT_TRUE(desk.play({{[&] { return desk.takes == 1; },
                                [&] {
                                    EXPECT_FALSE(desk.in_queue());
                                    desk.failure = 0;
                                    if (!nudged) return;
                                    desk.acceptor.look();
                                    EXPECT_EQ(desk.served.size(), 1u);
                                }},
                               {desk.serves(1), nullptr}}));
        EXPECT_TRUE(desk.in_queue());
    }
}

TEST(AcceptorMax, who_is_queued_at_max_is_served_before_the_final_close_and_left_to_siblings_else) {
    for (const bool final : {true, false}) {
        Desk desk;
        desk.clients_come(3);
        desk.acceptor.open();
        EXPECT_TRUE(desk.play({{[&] { return desk.served.size() == 1; }, [&] { desk.failure = Acceptor::at_max; }}}));
        desk.acceptor.close({.all = final});
        EXPECT_EQ(desk.record.accepted, 1u);
        EXPECT_EQ(desk.finished, 0);
        desk.failure = 0;
        while (!desk.served.empty()) desk.let_go();
        EXPECT_EQ(desk.record.accepted, final ? 3u : 1u);
        EXPECT_EQ(desk.finished, 1);
    }
}

}  // namespace
}  // namespace preforkd
