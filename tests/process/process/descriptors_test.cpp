#include "common/process/descriptors.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <climits>
#include <set>
#include <string>
#include <vector>

#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

constexpr int probed = 1000;

/// What is open after close_all_descriptors_except(keep) in a child that had 3..20 and some higher ones open.
std::set<int> left_open(const std::vector<int>& keep) {
    const testing::Pipe pipe = testing::make_pipe();
    const int report = pipe.writer.get();
    const ChildProcess child = spawn([&] {
        for (int fd = 3; fd <= 20; ++fd) ::dup2(STDIN_FILENO, fd);
        for (const int fd : {150, 151, 400, 777}) ::dup2(STDIN_FILENO, fd);
        std::vector<int> kept = keep;
        kept.insert(kept.begin() + static_cast<std::ptrdiff_t>(kept.size() / 2), report);
        close_all_descriptors_except(kept);
        for (int fd = 0; fd < probed; ++fd)
            if (::fcntl(fd, F_GETFD) != -1 && ::write(report, &fd, sizeof fd) != sizeof fd) return 1;
        return 0;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
    ::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK);
    std::set<int> open;
    for (int fd = 0; ::read(pipe.reader.get(), &fd, sizeof fd) == sizeof fd;) open.insert(fd);
    open.erase(report);
    return open;
}

TEST(Descriptors, only_the_standard_three_stay_open_when_nothing_is_kept) {
    EXPECT_EQ(left_open({}), (std::set{0, 1, 2}));
}

TEST(Descriptors, just_the_listed_stay_open_whatever_their_order) {
    EXPECT_EQ(left_open({777, 5, 3, 151, 20}), (std::set{0, 1, 2, 3, 5, 20, 151, 777}));
    EXPECT_EQ(left_open({4, 5, 6}), (std::set{0, 1, 2, 4, 5, 6}));
}

TEST(Descriptors, one_that_is_listed_twice_or_standard_or_none_at_all_does_no_harm) {
    EXPECT_EQ(left_open({7, -1, 2, 7, 0, 1, 7}), (std::set{0, 1, 2, 7}));
    EXPECT_EQ(left_open({900}), (std::set{0, 1, 2})) << "one that is not open cannot stay open";
}

TEST(Descriptors, the_highest_number_there_is_can_be_listed) { EXPECT_EQ(left_open({INT_MAX}), (std::set{0, 1, 2})); }

TEST(Descriptors, the_soft_limit_is_raised_to_the_hard_one_and_the_original_is_remembered) {
    EXPECT_EQ(testing::in_child([] {
                  rlimit given{};
                  ::getrlimit(RLIMIT_NOFILE, &given);
                  given.rlim_cur = 256;
                  ::setrlimit(RLIMIT_NOFILE, &given);
                  const DescriptorLimit limit = raise_descriptor_limit();
                  rlimit now{};
                  ::getrlimit(RLIMIT_NOFILE, &now);
                  std::string wrong;
                  if (limit.original.rlim_cur != 256) wrong += " original soft";
                  if (limit.original.rlim_max != given.rlim_max) wrong += " original hard";
                  if (limit.usable != given.rlim_max) wrong += " usable";
                  if (now.rlim_cur != given.rlim_max || now.rlim_max != given.rlim_max) wrong += " in force";
                  return wrong;
              }),
              "");
}

TEST(Descriptors, as_many_are_spare_as_can_be_opened_and_trying_takes_none) {
    EXPECT_EQ(testing::in_child([] {
                  const rlimit few{.rlim_cur = 64, .rlim_max = 64};
                  ::setrlimit(RLIMIT_NOFILE, &few);
                  const std::size_t spare = spare_descriptors(1000);
                  std::string wrong;
                  if (spare < 1 || spare >= 64) wrong += " spare";
                  if (spare_descriptors(1000) != spare) wrong += " taken";
                  if (spare_descriptors(spare - 1) != spare - 1) wrong += " more than wanted";
                  for (std::size_t each = 0; each < spare; ++each)
                      if (::dup(STDERR_FILENO) == -1) wrong += " not there";
                  if (::dup(STDERR_FILENO) != -1) wrong += " one more";
                  return wrong;
              }),
              "");
}

}  // namespace
}  // namespace preforkd
