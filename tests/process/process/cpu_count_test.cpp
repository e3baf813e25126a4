#include "common/process/cpu_count.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <string>

#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

TEST(CpuCount, a_quota_is_rounded_up) {
    EXPECT_EQ(cpus_of_quota("100000 100000"), 1);
    EXPECT_EQ(cpus_of_quota("150000 100000"), 2);
    EXPECT_EQ(cpus_of_quota("200000 100000"), 2);
    EXPECT_EQ(cpus_of_quota("200001 100000"), 3);
    EXPECT_EQ(cpus_of_quota("1000 100000"), 1);
    EXPECT_EQ(cpus_of_quota("25000 10000\n"), 3);
}

TEST(CpuCount, max_is_no_quota) {
    EXPECT_EQ(cpus_of_quota("max 100000"), std::nullopt);
    EXPECT_EQ(cpus_of_quota("max"), std::nullopt);
}

TEST(CpuCount, what_is_no_quota_is_ignored) {
    for (const char* text : {"", " ", "100000", "100000 ", " 100000", "-1 100000", "0 100000", "100000 0", "100000 -1",
                             "a b", "99999999999999999999 1"})
        EXPECT_EQ(cpus_of_quota(text), std::nullopt) << '"' << text << '"';
}

TEST(CpuCount, a_huge_quota_stays_a_number) { EXPECT_EQ(cpus_of_quota("9000000000000000000 1"), 1'000'000); }

TEST(CpuCount, at_least_one_and_no_more_than_we_may_run_on) {
    cpu_set_t affinity;
    ASSERT_EQ(::sched_getaffinity(0, sizeof affinity, &affinity), 0);
    EXPECT_GE(usable_cpus(), 1);
    EXPECT_LE(usable_cpus(), CPU_COUNT(&affinity));
}

TEST(CpuCount, a_process_bound_to_one_processor_uses_one) {
    EXPECT_EQ(testing::in_child([] {
                  cpu_set_t one;
                  ::sched_getaffinity(0, sizeof one, &one);
                  bool found = false;
                  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
                      if (!CPU_ISSET(cpu, &one)) continue;
                      if (found) CPU_CLR(cpu, &one);
                      found = true;
                  }
                  check(::sched_setaffinity(0, sizeof one, &one), "bind to one processor");
                  return std::to_string(usable_cpus());
              }),
              "1");
}

}  // namespace
}  // namespace preforkd
