#include <gtest/gtest.h>

#include "tests/process/acceptor_desk.hpp"

namespace preforkd {
namespace {

using testing::after_a_while;
using testing::Desk;

const ListenSettings waits{.inetd_wait = true};

TEST(AcceptorHandedOver, it_leaves_the_queue_until_the_listener_is_taken_back) {
    Desk desk{{.limit = 8}, false, waits};
    desk.acceptor.open();
    EXPECT_TRUE(desk.in_queue());
    desk.failure = Acceptor::handed_over;
    desk.clients_come(1);
    EXPECT_TRUE(desk.play({{[&] { return desk.takes == 2; }, nullptr},
                           after_a_while([&] {
                               EXPECT_EQ(desk.takes, 2);
                               EXPECT_FALSE(desk.in_queue());
                               EXPECT_EQ(desk.siblings_asked, 0);
                               desk.failure = 0;
                               desk.acceptor.take_back(desk.listener);
                           }),
                           {desk.serves(1), nullptr}}));
}

TEST(AcceptorHandedOver, where_another_worker_has_it_nobody_waits_until_told_to_look) {
    Desk desk{{.limit = 8}, false, waits};
    desk.failure = Acceptor::handed_over;
    desk.clients_come(1);
    desk.acceptor.open();
    EXPECT_FALSE(desk.in_queue());
    EXPECT_TRUE(desk.play({after_a_while([&] {
                               EXPECT_EQ(desk.takes, 1);
                               desk.failure = 0;
                               desk.acceptor.look();
                               EXPECT_TRUE(desk.in_queue());
                           }),
                           {desk.serves(1), nullptr}}));
}

TEST(AcceptorHandedOver, a_worker_that_was_full_does_not_wait_there_either) {
    Desk desk{{.limit = 1}, false, waits};
    desk.acceptor.open();
    desk.clients_come(1);
    EXPECT_TRUE(desk.play({{desk.serves(1),
                            [&] {
                                desk.failure = Acceptor::handed_over;
                                desk.let_go();
                                desk.clients_come(1);
                            }},
                           {[&] { return desk.takes == 3; },
                            [&] {
                                desk.acceptor.begun();
                                desk.acceptor.look();
                                desk.acceptor.ended();
                            }},
                           after_a_while([&] { EXPECT_FALSE(desk.in_queue()); })}));
}

TEST(AcceptorHandedOver, who_closes_takes_nobody_and_leaves_it_to_a_sibling) {
    Desk desk{{.limit = 8}, false, waits};
    desk.acceptor.open();
    desk.clients_come(3);
    const int takes = desk.takes;
    desk.acceptor.close({.all = true});
    EXPECT_EQ(desk.takes, takes);
    EXPECT_EQ(desk.siblings_asked, 1);
    EXPECT_EQ(desk.finished, 1);
}

}  // namespace
}  // namespace preforkd
