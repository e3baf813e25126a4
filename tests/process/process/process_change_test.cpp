#include "common/process/process_change.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::in_child;
using ::testing::Not;

TEST(ProcessChange, what_is_asked_for_holds_afterwards) {
    const ProcessChange change{{.nice = 19,
                                .chdir = "/usr",
                                .umask = 027,
                                .limits = {{"limit-nofile", {.resource = RLIMIT_NOFILE, .soft = 50, .hard = 60}}}}};
    EXPECT_EQ(in_child([&] {
                  change.make();
                  rlimit limit{};
                  ::getrlimit(RLIMIT_NOFILE, &limit);
                  return fmt::format("{} {} {:o} {} {}", ::getpriority(PRIO_PROCESS, 0),
                                     std::filesystem::current_path().native(), ::umask(0), limit.rlim_cur,
                                     limit.rlim_max);
              }),
              "19 /usr 27 50 60");
}

TEST(ProcessChange, what_cannot_be_had_is_named) {
    const ProcessChange change{{.chdir = "/no/such"}};
    EXPECT_EQ(in_child([&]() -> std::string {
                  try {
                      change.make();
                      return "it went well";
                  } catch (const std::system_error& error) { return error.what(); }
              }),
              "chdir=/no/such: No such file or directory");
}

TEST(ProcessChange, the_environment_is_the_user_s_and_then_what_is_asked_for) {
    const std::vector<std::string> inherited{"A=1", "PATH=/bin", "HOME=/elsewhere", "SUDO_USER=admin", "AB=1"};
    const ProcessChange nobody_else{{.environment = {"A=2", "NEW="}}};
    EXPECT_THAT(nobody_else.environment(inherited),
                ElementsAre("PATH=/bin", "HOME=/elsewhere", "SUDO_USER=admin", "AB=1", "A=2", "NEW="));
    const ProcessChange ourselves{{.user = std::to_string(::geteuid()), .environment = {"USER=me"}}};
    EXPECT_THAT(ourselves.environment(inherited),
                AllOf(Contains("A=1"), Contains("PATH=/bin"), Contains("USER=me"), Not(Contains("HOME=/elsewhere")),
                      Not(Contains("SUDO_USER=admin"))));
}

TEST(ProcessChange, a_missing_right_has_a_name) {
    EXPECT_EQ(capabilities_for("nice=-5"), "CAP_SYS_NICE");
    EXPECT_EQ(capabilities_for("limit-nofile=5:5"), "CAP_SYS_RESOURCE");
    EXPECT_EQ(capabilities_for("run-user=git"), "CAP_SETUID, CAP_SETGID and CAP_KILL");
    EXPECT_EQ(capabilities_for("chdir=/x"), "");
}

}  // namespace
}  // namespace preforkd
