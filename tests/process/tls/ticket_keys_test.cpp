#include "common/tls/ticket_keys.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace preforkd {
namespace {

using std::chrono::hours;
using std::chrono::system_clock;

TEST(RotatingTicketKeys, two_processes_with_one_secret_agree) {
    RotatingTicketKeys one;
    RotatingTicketKeys other{one.to_text()};
    const auto now = system_clock::now();
    EXPECT_EQ(one.current(now), other.current(now));
    EXPECT_EQ(one.current(now + hours{100}), other.current(now + hours{100}));
    EXPECT_NE(one.current(now), RotatingTicketKeys{}.current(now));
}

TEST(RotatingTicketKeys, what_one_has_done_before_does_not_matter_to_the_other) {
    RotatingTicketKeys busy;
    RotatingTicketKeys idle{busy.to_text()};
    const auto now = system_clock::now();
    for (int periods = 1; periods < 5; ++periods) (void)busy.current(now + periods * RotatingTicketKeys::period);
    const auto later = now + 5 * RotatingTicketKeys::period;
    EXPECT_EQ(idle.current(later), busy.current(later));
}

TEST(RotatingTicketKeys, a_key_is_good_for_the_period_behind_its_own_and_then_forgotten) {
    RotatingTicketKeys keys;
    const auto now = system_clock::now();
    const TicketKey first = keys.current(now);
    EXPECT_TRUE(keys.find(first.name, now)->is_current);
    const auto next = now + RotatingTicketKeys::period;
    ASSERT_TRUE(keys.find(first.name, next));
    EXPECT_EQ(keys.find(first.name, next)->key, first);
    EXPECT_FALSE(keys.find(first.name, next)->is_current);
    EXPECT_NE(keys.current(next), first);
    EXPECT_FALSE(keys.find(first.name, next + RotatingTicketKeys::period));
    EXPECT_FALSE(keys.find(first.name, now)) << "a clock that is set back brings nothing back";
}

TEST(RotatingTicketKeys, a_secret_that_is_written_later_knows_no_earlier_key) {
    RotatingTicketKeys keys;
    const auto now = system_clock::now();
    const TicketKey first = keys.current(now);
    (void)keys.current(now + 3 * RotatingTicketKeys::period);
    RotatingTicketKeys heir{keys.to_text()};
    EXPECT_FALSE(heir.find(first.name, now));
}

TEST(RotatingTicketKeys, a_text_that_is_none_is_refused) {
    for (const char* text : {"", "1", "1:", "x:00", "1:00"})
        EXPECT_THROW(RotatingTicketKeys{text}, std::invalid_argument);
    EXPECT_THROW(RotatingTicketKeys("1:" + std::string(64, 'g')), std::invalid_argument);
    EXPECT_NO_THROW(RotatingTicketKeys("1:" + std::string(64, 'a')));
}

TEST(GivenTicketKeys, the_first_makes_tickets_and_all_are_accepted) {
    const std::string one(80, 'a');
    const std::string other(80, 'b');
    GivenTicketKeys keys{one + other};
    EXPECT_EQ(keys.current({}).name[0], 'a');
    TicketKeys::Name name;
    name.fill('b');
    ASSERT_TRUE(keys.find(name, {}));
    EXPECT_FALSE(keys.find(name, {})->is_current);
    name.fill('c');
    EXPECT_FALSE(keys.find(name, {}));
}

TEST(GivenTicketKeys, a_file_of_another_size_is_refused) {
    EXPECT_THROW(GivenTicketKeys{""}, std::invalid_argument);
    EXPECT_THROW(GivenTicketKeys{std::string(81, 'a')}, std::invalid_argument);
}

}  // namespace
}  // namespace preforkd
