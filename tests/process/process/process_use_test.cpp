#include "common/process/process_use.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(ProcessUse, what_this_process_uses_is_told) {
    const Clock::time_point began = Clock::now();
    ProcessUse use = use_of_process(::getpid());
    ASSERT_TRUE(use.cpu && use.resident_bytes && use.open_descriptors);
    while (*use.cpu == 0ms && Clock::now() - began < 10s) use = use_of_process(::getpid());  // a tick is 10 ms
    EXPECT_GT(*use.cpu, 0ms);
    EXPECT_GT(*use.resident_bytes, std::uint64_t{1} << 20);
    const std::uint64_t before = *use.open_descriptors;
    const UniqueFd one_more{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    EXPECT_EQ(use_of_process(::getpid()).open_descriptors, before + 1);
}

TEST(ProcessUse, of_no_process_nothing_is_told) { EXPECT_EQ(use_of_process(0), ProcessUse{}); }

TEST(SampledUse, is_read_again_after_a_second_and_not_before) {
    SampledUse used;
    const Clock::time_point now = Clock::now();
    const auto before = used.of(::getpid(), now).open_descriptors;
    const UniqueFd one_more{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    EXPECT_EQ(used.of(::getpid(), now + 999ms).open_descriptors, before);
    EXPECT_EQ(used.of(::getpid(), now + 1s).open_descriptors, *before + 1);
}

}  // namespace
}  // namespace preforkd
