#include "common/process/cgroup.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace preforkd {
namespace {

using Paths = std::vector<std::filesystem::path>;

std::vector<Cgroup> groups_in(const std::string& membership, std::string_view controller) {
    std::istringstream lines{membership};
    return cgroups_of(controller, lines);
}

TEST(Cgroup, version_2_has_one_group_for_all_controllers) {
    const auto groups = groups_in("0::/system.slice/preforkd.service\n", "cpu");
    ASSERT_EQ(groups.size(), 1U);
    EXPECT_TRUE(groups[0].v2);
    EXPECT_EQ(groups[0].directories, (Paths{"/sys/fs/cgroup/system.slice/preforkd.service",
                                            "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/"}));
}

TEST(Cgroup, version_1_is_asked_where_it_has_the_controller) {
    const std::string membership = "5:cpu,cpuacct:/a\n4:cpuset:/b\n3:memory:/c\nnonsense\n1:name=systemd:/d\n0::/e\n";
    const auto groups = groups_in(membership, "cpu");
    ASSERT_EQ(groups.size(), 2U);
    EXPECT_FALSE(groups[0].v2);
    EXPECT_EQ(groups[0].directories, (Paths{"/sys/fs/cgroup/cpu/a", "/sys/fs/cgroup/cpu/"}));
    EXPECT_TRUE(groups[1].v2);
    EXPECT_EQ(groups[1].directories, (Paths{"/sys/fs/cgroup/e", "/sys/fs/cgroup/"}));
    EXPECT_EQ(groups_in(membership, "memory").front().directories.front(), "/sys/fs/cgroup/memory/c");
}

TEST(Cgroup, the_root_is_a_group_and_no_membership_is_none) {
    EXPECT_EQ(groups_in("0::/\n", "memory").at(0).directories, Paths{"/sys/fs/cgroup/"});
    EXPECT_TRUE(groups_in("", "memory").empty());
}

}  // namespace
}  // namespace preforkd
