#include "daemon/worker/accept/acceptor.hpp"

#include <cerrno>
#include <fstream>
#include <optional>
#include <string>

#include "common/log/log_output.hpp"
#include "tests/process/acceptor_desk.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::Act;
using testing::after_a_while;
using testing::connect_to;
using testing::Desk;

TEST(Acceptor, a_client_is_taken_counted_and_let_go) {
    Desk desk;
    EXPECT_FALSE(desk.in_queue());
    desk.acceptor.open();
    EXPECT_TRUE(desk.in_queue());
    EXPECT_EQ(desk.record.state, WorkerState::Idle);
    desk.clients_come(2);
    EXPECT_TRUE(desk.play({{desk.serves(2), nullptr}}));
    EXPECT_EQ(desk.state_while_serving, WorkerState::InHandler);
    EXPECT_EQ(desk.record.accepted, 2u);
    EXPECT_EQ(desk.acceptor.active(), 2u);
    desk.let_go();
    EXPECT_EQ(desk.record.state, WorkerState::WaitingForClient);
    desk.let_go();
    EXPECT_EQ(desk.record.state, WorkerState::Idle);
    EXPECT_EQ(desk.record.served, 2u);
    EXPECT_EQ(desk.acceptor.active(), 0u);
    EXPECT_EQ(desk.siblings_asked, 0);
}

TEST(Acceptor, at_its_limit_it_leaves_the_queue_and_has_a_sibling_look_for_those_who_wait) {
    Desk desk{{.limit = 2}};
    desk.clients_come(3);
    desk.acceptor.open();
    EXPECT_TRUE(desk.play({{desk.serves(2), nullptr}, after_a_while(nullptr)}));
    EXPECT_EQ(desk.served.size(), 2u);
    EXPECT_FALSE(desk.in_queue());
    EXPECT_EQ(desk.siblings_asked, 1);
}

TEST(Acceptor, at_its_limit_with_nobody_waiting_no_sibling_is_woken) {
    Desk desk{{.limit = 2}};
    desk.clients_come(2);
    desk.acceptor.open();
    EXPECT_TRUE(desk.play({{desk.serves(2), nullptr}}));
    EXPECT_FALSE(desk.in_queue());
    EXPECT_EQ(desk.siblings_asked, 0);
}

TEST(Acceptor, with_space_again_it_joins_again_and_finds_who_waited) {
    Desk desk{{.limit = 1}};
    desk.clients_come(2);
    desk.acceptor.open();
    EXPECT_TRUE(desk.play({{desk.serves(1),
                            [&] {
                                desk.let_go();
                                EXPECT_TRUE(desk.in_queue());
                            }},
                           {[&] { return desk.record.accepted == 2; }, nullptr}}));
    EXPECT_FALSE(desk.in_queue());
}

TEST(Acceptor, that_it_is_at_its_limit_is_not_said_of_each_client) {
    int said = 0;
    Desk desk{{.limit = 1, .full = [&] { ++said; }, .between_full = 5s}};
    desk.clients_come(4);
    desk.acceptor.open();
    std::vector<Act> acts;
    for (std::uint64_t client = 1; client <= 4; ++client)
        acts.push_back({[&desk, client] { return desk.record.accepted == client; }, [&] { desk.let_go(); }});
    EXPECT_TRUE(desk.play(acts));
    EXPECT_EQ(said, 1);
}

TEST(Acceptor, a_nudge_takes_everybody_who_is_queued_within_the_limit) {
    Desk desk{{.limit = 4}};
    desk.acceptor.open();
    desk.clients_come(3);
    desk.acceptor.look();
    EXPECT_EQ(desk.served.size(), 3u);
    EXPECT_EQ(desk.siblings_asked, 0);
    desk.clients_come(2);
    desk.acceptor.look();
    EXPECT_EQ(desk.served.size(), 4u);
    EXPECT_GE(desk.siblings_asked, 1) << "the fifth is a sibling's";
    const int asked = desk.siblings_asked;
    desk.acceptor.look();
    EXPECT_EQ(desk.served.size(), 4u);
    EXPECT_EQ(desk.siblings_asked, asked + 1) << "a nudge that cannot be followed is passed on";
}

/// The order itself waits for a handler to give the loop back.
TEST(Acceptor, one_that_the_master_has_replaced_takes_nobody_although_its_order_to_leave_is_on_its_way) {
    Desk desk;
    desk.acceptor.open();
    EXPECT_EQ(desk.record.accepting, Accepting::Yes);
    desk.record.told_to_leave = 1;
    desk.clients_come(1);
    EXPECT_TRUE(desk.play({{[&] { return desk.siblings_asked == 1; }, [&] { EXPECT_FALSE(desk.in_queue()); }}}));
    desk.acceptor.look();
    EXPECT_EQ(desk.record.accepting, Accepting::Yes) << "it has not heard it yet";
    desk.acceptor.close({});
    EXPECT_EQ(desk.record.accepting, Accepting::No);
    EXPECT_EQ(desk.takes, 0);
    EXPECT_EQ(desk.finished, 1);
}

TEST(Acceptor, one_that_the_master_has_replaced_serves_who_waits_at_a_listener_that_closes_for_good) {
    Desk desk;
    desk.acceptor.open();
    desk.clients_come(2);
    desk.record.told_to_leave = 1;
    desk.acceptor.close({.all = true});
    EXPECT_EQ(desk.served.size(), 2u);
}

TEST(Acceptor, a_nudge_without_clients_does_nothing) {
    Desk desk;
    desk.acceptor.open();
    desk.acceptor.look();
    EXPECT_EQ(desk.takes, 1);
    EXPECT_TRUE(desk.in_queue());
    EXPECT_EQ(desk.siblings_asked, 0);
}

TEST(Acceptor, out_of_descriptors_it_rests_says_so_once_and_takes_them_when_it_can) {
    const testing::TemporaryDirectory directory;
    const std::string log = directory / "log";
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  open_log({.format = LogFormat::Text, .file = log});
                  Desk desk;
                  desk.clients_come(1);
                  std::optional<testing::FewDescriptors> none{0};
                  desk.acceptor.open();
                  const auto start = Clock::now();
                  std::string wrong;
                  const bool done = desk.play({{[&] { return desk.takes == 1; },
                                                [&] {
                                                    if (desk.siblings_asked != 1) wrong += " no sibling asked";
                                                }},
                                               {[&] { return desk.takes == 2; },
                                                [&] {
                                                    if (Clock::now() - start < 500ms) wrong += " no rest";
                                                    none.reset();
                                                    if (desk.in_queue()) wrong += " still in the queue";
                                                }},
                                               {desk.serves(1), nullptr}});
                  if (desk.takes != 3) wrong += " " + std::to_string(desk.takes) + " takes";
                  return (done ? "served" : "not served") + wrong;
              }),
              "served");
    std::ifstream file{log};
    int lines = 0;
    for (std::string line; std::getline(file, line);)
        if (line.find("cannot accept connections") != std::string::npos) ++lines;
    EXPECT_EQ(lines, 1);
}

TEST(Acceptor, clients_that_are_lost_one_after_the_other_do_not_make_it_spin) {
    open_log({.file = "/dev/null"});
    Desk desk;
    desk.failure = EPERM;  // an LSM that leaves the connection queued
    desk.clients_come(1);
    desk.acceptor.open();
    EXPECT_TRUE(desk.play({{[&] { return desk.siblings_asked == 1; }, nullptr}, after_a_while(nullptr)}));
    EXPECT_EQ(desk.takes, 8);
    EXPECT_FALSE(desk.in_queue());
    open_log({});
}

TEST(Acceptor, where_the_model_has_nobody_to_serve_with_it_rests_and_adds_no_cause_of_its_own) {
    const testing::TemporaryDirectory directory;
    const std::string log = directory / "log";
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  open_log({.format = LogFormat::Text, .file = log});
                  Desk desk;
                  desk.failure = Acceptor::not_now;
                  desk.clients_come(1);
                  desk.acceptor.open();
                  std::string wrong;
                  const bool done = desk.play({{[&] { return desk.siblings_asked == 1; },
                                                [&] {
                                                    if (desk.in_queue()) wrong += " still in the queue";
                                                    desk.failure = 0;
                                                }},
                                               {desk.serves(1), nullptr}});
                  return done ? wrong : wrong + " not served";
              }),
              "");
    EXPECT_EQ(std::ifstream{log}.peek(), std::ifstream::traits_type::eof());
}

TEST(Acceptor, a_lost_client_does_not_keep_the_next_from_being_taken) {
    Desk desk;
    desk.failure = ECONNABORTED;
    desk.clients_come(1);
    desk.acceptor.open();
    EXPECT_TRUE(desk.play({{[&] { return desk.takes == 1; }, [&] { desk.failure = 0; }}, {desk.serves(1), nullptr}}));
}

TEST(Acceptor, a_client_that_is_lost_while_the_queue_is_emptied_costs_the_others_nothing) {
    for (const int lost : {ECONNABORTED, EPERM}) {
        Desk desk;
        desk.losses = 3;
        desk.failure = lost;
        desk.acceptor.open();
        desk.clients_come(5);
        desk.acceptor.close({.all = true});
        EXPECT_EQ(desk.served.size(), 5u) << lost;
    }
}

TEST(Acceptor, a_machine_out_of_descriptors_while_the_queue_is_emptied_costs_nobody_his_answer) {
    open_log({.file = "/dev/null"});
    Desk desk;
    desk.losses = 1;
    desk.failure = ENFILE;
    desk.acceptor.open();
    desk.clients_come(2);
    desk.acceptor.close({.all = true});
    EXPECT_EQ(desk.finished, 0);
    EXPECT_TRUE(desk.play({{desk.serves(2), nullptr}}));
    open_log({});
}

TEST(Acceptor, retirement_is_asked_for_once_and_serving_goes_on) {
    Desk desk{{.limit = 10, .retire_after = 3}};
    desk.acceptor.open();
    desk.clients_come(2);
    desk.acceptor.look();
    EXPECT_EQ(desk.retirements, 0);
    desk.clients_come(3);
    desk.acceptor.look();
    EXPECT_EQ(desk.retirements, 1);
    EXPECT_EQ(desk.served.size(), 5u);
}

TEST(Acceptor, an_idle_worker_that_is_closed_is_finished_at_once) {
    Desk desk;
    desk.acceptor.open();
    desk.acceptor.close({});
    EXPECT_EQ(desk.finished, 1);
    EXPECT_EQ(testing::connect_error(desk.address), ECONNREFUSED) << "it holds no listener";
    desk.acceptor.close({.all = true});
    EXPECT_EQ(desk.finished, 1);
}

TEST(Acceptor, closing_takes_one_whose_wake_up_may_be_in_our_hands_and_leaves_the_rest_to_siblings) {
    Desk desk;
    const UniqueFd siblings_copy{::dup(desk.queue)};
    desk.acceptor.open();
    desk.clients_come(3);
    desk.acceptor.close({});
    EXPECT_EQ(desk.served.size(), 1u);
    EXPECT_EQ(desk.finished, 0);
    EXPECT_TRUE(testing::is_readable(siblings_copy.get())) << "the others are still queued";
    desk.let_go();
    EXPECT_EQ(desk.finished, 1);
    EXPECT_EQ(desk.record.state, WorkerState::Draining);
}

TEST(Acceptor, a_full_worker_that_is_closed_takes_nobody_more) {
    Desk desk{{.limit = 1}};
    const UniqueFd siblings_copy{::dup(desk.queue)};
    desk.acceptor.open();
    desk.clients_come(2);
    desk.acceptor.look();
    desk.acceptor.close({});
    desk.let_go();
    EXPECT_EQ(desk.record.accepted, 1u);
    EXPECT_EQ(desk.finished, 1);
}

TEST(Acceptor, at_the_final_close_everybody_who_is_queued_is_served_first_within_the_limit) {
    Desk desk{{.limit = 2}};
    desk.acceptor.open();
    desk.clients_come(5);
    desk.acceptor.close({.all = true});
    EXPECT_EQ(desk.served.size(), 2u);
    for (std::uint64_t gone = 1; gone <= 4; ++gone) {
        desk.let_go();
        EXPECT_EQ(desk.record.accepted, std::min<std::uint64_t>(5, 2 + gone));
        EXPECT_EQ(desk.finished, 0);
    }
    desk.let_go();
    EXPECT_EQ(desk.record.served, 5u);
    EXPECT_EQ(desk.finished, 1);
    EXPECT_EQ(testing::connect_error(desk.address), ECONNREFUSED);
}

TEST(Acceptor, the_queue_of_an_inherited_listener_is_left_to_the_next_service) {
    Desk desk{{.limit = 10}, true};
    const UniqueFd systemds_copy{::dup(desk.queue)};
    desk.acceptor.open();
    desk.clients_come(5);
    desk.acceptor.close({.all = true});
    EXPECT_EQ(desk.record.accepted, 1u);
    EXPECT_TRUE(testing::is_readable(systemds_copy.get()));
}

TEST(Acceptor, a_resting_worker_can_be_closed) {
    open_log({.file = "/dev/null"});
    Desk desk;
    const UniqueFd siblings_copy{::dup(desk.queue)};
    desk.failure = EMFILE;
    desk.clients_come(1);
    desk.acceptor.open();
    desk.acceptor.look();
    EXPECT_FALSE(desk.in_queue());
    desk.acceptor.close({});
    EXPECT_EQ(desk.finished, 1);
    EXPECT_EQ(desk.takes, 1);
    open_log({});
}

}  // namespace
}  // namespace preforkd
