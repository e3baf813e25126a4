#include "daemon/ctl/death_sentences.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

DeathReport some_death(int pid, const char* cause, const char* ordered_by) {
    return {.time = "2027-01-15T08:00:00.000Z",
            .number = 3,
            .pid = pid,
            .cause = cause,
            .ordered_by = ordered_by,
            .age = 62s,
            .served = 5,
            .used = {.max_rss_bytes = 3 << 20}};
}

std::vector<ExplainedDeaths> explained_of(std::initializer_list<DeathReport> deaths) {
    DeathRing ring;
    for (const DeathReport& each : deaths) ring.add(each);
    return explained(ring);
}

std::string only_sentence(const DeathReport& death) {
    const auto all = explained_of({death});
    EXPECT_EQ(all.size(), 1U);
    return sentence_of(all.at(0));
}

TEST(DeathSentences, a_crash_is_told_with_whom_it_served) {
    DeathReport death = some_death(17, "killed by SIGSEGV, core dumped", ordered_by_nobody);
    death.last_peer = "192.0.2.1:9";
    death.last_error = "bad";
    EXPECT_EQ(
        only_sentence(death),
        "worker 3 (pid 17) was killed by SIGSEGV, core dumped at 2027-01-15T08:00:00.000Z, 1m 2s old, having served 5 "
        "clients to the end, the last to come being 192.0.2.1:9, with the error \"bad\": it crashed; its stack is in "
        "the log; "
        "--core-dumps yes leaves its memory, too");
}

struct Reason {
    const char* name;
    const char* cause;
    const char* ordered_by;
    const char* why;
};

class DeathSentencesOf : public testing::TestWithParam<Reason> {};

TEST_P(DeathSentencesOf, each_order_has_its_reason_and_what_helps) {
    EXPECT_THAT(only_sentence(some_death(17, GetParam().cause, GetParam().ordered_by)), HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    All, DeathSentencesOf,
    testing::Values(
        Reason{"failure", "exited with code 3", ordered_by_nobody, "(pid 17) exited with code 3 at 2027"},
        Reason{"by_itself", "exited with code 3", ordered_by_nobody, ": it failed by itself; the log says what of"},
        Reason{"killed", "killed by SIGKILL", ordered_by_another,
               ": another process than its master killed it; find out"},
        Reason{"told", "exited with code 0", ordered_by_another,
               ": another process than its master told it to leave; "},
        Reason{"hang", "killed by SIGABRT", name_of(DeathOrder::Hang), "raise --worker-timeout if"},
        Reason{"stopped", "killed by SIGKILL", name_of(DeathOrder::Lifeless), "stopped it by a signal"},
        Reason{"boot", "killed by SIGKILL", name_of(DeathOrder::BootTimeout), "not ready within --boot-timeout; "},
        Reason{"stop", "killed by SIGKILL", name_of(DeathOrder::StopTimeout),
               "its clients within --stop-timeout, after a reload --reload-timeout; raise that"},
        Reason{"report", "killed by SIGKILL", name_of(DeathOrder::OutOfTurn), "taken it over; "},
        Reason{"reload", "killed by SIGTERM", name_of(DeathOrder::Reload), ": replaced by a reload"},
        Reason{"a_lost_file", "killed by SIGTERM", name_of(DeathOrder::Rebind), "which had lost its file"},
        Reason{"another_version", "killed by SIGTERM", "master: whim", ": ordered by master: whim; "}),
    [](const auto& each) { return std::string{each.param.name}; });

TEST(DeathSentences, memory_is_told_with_how_much_it_had) {
    DeathReport death = some_death(17, "killed by SIGKILL", ordered_by_kernel);
    death.out_of_memory = true;
    EXPECT_THAT(only_sentence(death),
                HasSubstr(": the kernel wanted the memory of its group back, of which it had 3.0M at "
                          "most; give it more memory (systemd: MemoryMax=), or lower --workers, "
                          "--connections or --max-memory"));
}

TEST(DeathSentences, of_one_kind_they_are_one_sentence_and_the_unwanted_come_first) {
    DeathReport left = some_death(30, "exited with code 0", name_of(DeathOrder::Reload));
    left.expected = true;
    DeathReport other = left;
    other.pid = 31;
    const auto all = explained_of({some_death(10, "killed by SIGKILL", ordered_by_another),
                                   some_death(11, "exited with code 3", ordered_by_nobody),
                                   some_death(12, "killed by SIGKILL", ordered_by_another), left, other});
    ASSERT_EQ(all.size(), 3U);
    EXPECT_THAT(all[0].pids, ElementsAre(10, 12));
    EXPECT_THAT(all[0].death, HasSubstr("2 workers (pids 10, 12) were killed by SIGKILL, the last of them at "));
    EXPECT_THAT(all[1].pids, ElementsAre(11));
    EXPECT_EQ(sentence_of(all[2]), "2 workers (pids 30, 31) left in good order: replaced by a reload");
    EXPECT_TRUE(all[2].expected && !all[0].expected);
}

TEST(DeathSentences, a_worker_that_somebody_else_told_to_leave_was_not_to_be_replaced_anyway) {
    DeathReport death = some_death(17, "exited with code 0", ordered_by_another);
    death.expected = true;
    EXPECT_EQ(only_sentence(death),
              "worker 3 (pid 17) left in good order: told to by another process than the master, which the log names");
}

TEST(DeathSentences, the_first_client_of_a_worker_is_not_one_that_it_had_served) {
    DeathReport death = some_death(17, "killed by SIGKILL", ordered_by_another);
    death.served = 0;
    death.last_peer = "192.0.2.1:9";
    EXPECT_THAT(only_sentence(death),
                HasSubstr("having served 0 clients to the end, the last to come being 192.0.2.1:9: "));
}

TEST(DeathSentences, of_a_copy_of_a_program_nobody_knows_whom_it_has_served) {
    DeathReport death = some_death(17, "killed by SIGKILL", ordered_by_another);
    death.served = std::nullopt;
    EXPECT_THAT(only_sentence(death), HasSubstr(" at 2027-01-15T08:00:00.000Z, 1m 2s old: "));
}

TEST(DeathSentences, of_two_signals_they_are_two_sentences) {
    EXPECT_EQ(explained_of({some_death(10, "killed by SIGKILL", ordered_by_another),
                            some_death(11, "killed by SIGSEGV", ordered_by_another)})
                  .size(),
              2U);
}

TEST(DeathSentences, where_nobody_died_there_are_none) { EXPECT_THAT(explained_of({}), IsEmpty()); }

}  // namespace
}  // namespace preforkd
