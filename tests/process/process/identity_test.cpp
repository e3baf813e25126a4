#include "common/process/identity.hpp"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/operator_error.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using testing::in_child;

/// The fields behind `name:` in /proc/self/status, separated by one space.
std::string status(const std::string& name) {
    std::ifstream file{"/proc/self/status"};
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(name + ':')) continue;
        std::istringstream fields{line.substr(name.size() + 1)};
        std::string found;
        for (std::string field; fields >> field;) found += (found.empty() ? "" : " ") + field;
        return found;
    }
    return "there is no " + name;
}

std::string four_times(unsigned id) {
    const std::string one = std::to_string(id);
    return one + ' ' + one + ' ' + one + ' ' + one;
}

std::string joined(std::vector<gid_t> groups) {
    std::ranges::sort(groups);
    std::string text;
    for (const gid_t group : groups) text += (text.empty() ? "" : " ") + std::to_string(group);
    return text;
}

std::string who() {
    return "uid " + status("Uid") + ", gid " + status("Gid") + ", groups " + status("Groups") + ", nnp " +
           status("NoNewPrivs");
}

ExitCode refusal_of(const std::string& user, const std::string& group) {
    try {
        (void)look_up_identity(user, group);
    } catch (const OperatorError& error) {
        const std::string named = user.empty() ? group : user;
        EXPECT_NE(std::string{error.what()}.find(named), std::string::npos) << error.what();
        return error.code();
    }
    return ExitCode::Ok;
}

#define NEEDS_ROOT \
    if (::geteuid() != 0) GTEST_SKIP() << "only root can change user"

TEST(Identity, nothing_asked_is_nothing_done) {
    const Identity identity = look_up_identity("", "");
    EXPECT_FALSE(identity.uid);
    EXPECT_FALSE(identity.gid);
    EXPECT_EQ(in_child([&] {
                  const std::string before = who();
                  assume(identity);
                  return who() == before ? "unchanged" : who();
              }),
              "unchanged");
}

TEST(Identity, an_unknown_name_is_a_configuration_error_that_names_it) {
    EXPECT_EQ(refusal_of("no-such-user-here", ""), ExitCode::Configuration);
    EXPECT_EQ(refusal_of("", "no-such-group-here"), ExitCode::Configuration);
}

TEST(Identity, what_is_no_number_of_a_user_is_refused) {
    for (const char* user : {"-1", "4294967295", "4294967296", "0x0", "1 ", "+1"})
        EXPECT_EQ(refusal_of(user, ""), ExitCode::Configuration) << user;
}

TEST(Identity, one_may_always_be_oneself) {
    const Identity identity = look_up_identity(std::to_string(::geteuid()), std::to_string(::getegid()));
    EXPECT_EQ(identity.uid, ::geteuid());
    EXPECT_EQ(identity.gid, ::getegid());
}

TEST(Identity, a_user_brings_its_own_group_and_supplementary_groups) {
    NEEDS_ROOT;
    const passwd* nobody = ::getpwnam("nobody");
    ASSERT_NE(nobody, nullptr);
    const Identity identity = look_up_identity("nobody", "");
    EXPECT_EQ(identity.uid, nobody->pw_uid);
    EXPECT_EQ(identity.gid, nobody->pw_gid);
    EXPECT_EQ(std::ranges::count(identity.groups, nobody->pw_gid), 1);
    EXPECT_EQ(std::ranges::count(identity.groups, 0u), 0) << "root's groups are not nobody's";
    const Identity by_number = look_up_identity(std::to_string(nobody->pw_uid), "");
    EXPECT_EQ(by_number.uid, identity.uid);
    EXPECT_EQ(by_number.groups, identity.groups);
}

TEST(Identity, a_number_that_nobody_has_is_user_and_group_at_once) {
    NEEDS_ROOT;
    ASSERT_EQ(::getpwuid(3'999'999'999), nullptr);
    const Identity identity = look_up_identity("3999999999", "");
    EXPECT_EQ(identity.uid, 3'999'999'999);
    EXPECT_EQ(identity.gid, 3'999'999'999);
    EXPECT_EQ(identity.groups, std::vector<gid_t>{3'999'999'999});
}

TEST(Identity, a_worker_becomes_nobody_for_good) {
    NEEDS_ROOT;
    const Identity nobody = look_up_identity("nobody", "");
    const std::string expected = "uid " + four_times(*nobody.uid) + ", gid " + four_times(*nobody.gid) + ", groups " +
                                 joined(nobody.groups) + ", nnp 1";
    EXPECT_EQ(in_child([&]() -> std::string {
                  const gid_t root_group = 0;
                  ::setgroups(1, &root_group);
                  assume(nobody);
                  if (::setuid(0) == 0 || ::seteuid(0) == 0) return "root again";
                  if (::setgid(0) == 0 || ::setegid(0) == 0) return "group root again";
                  if (status("CapEff") != "0000000000000000") return "capabilities left";
                  return who();
              }),
              expected);
}

TEST(Identity, group_alone_changes_all_groups_and_leaves_the_user) {
    NEEDS_ROOT;
    const Identity identity = look_up_identity("", "12345");
    EXPECT_FALSE(identity.uid);
    EXPECT_EQ(in_child([&] {
                  assume(identity);
                  return who();
              }),
              "uid " + four_times(0) + ", gid " + four_times(12345) + ", groups 12345, nnp 1");
}

TEST(Identity, group_beside_user_wins_over_the_users_own) {
    NEEDS_ROOT;
    const Identity identity = look_up_identity("nobody", "12345");
    EXPECT_EQ(identity.gid, 12345u);
    EXPECT_EQ(in_child([&] {
                  assume(identity);
                  return status("Gid");
              }),
              four_times(12345));
}

TEST(Identity, without_privilege_one_cannot_become_somebody_else) {
    NEEDS_ROOT;
    const Identity nobody = look_up_identity("nobody", "");
    const std::string report = in_child([&] {
        assume(nobody);
        (void)look_up_identity("root", "");
        return std::string{"allowed"};
    });
    EXPECT_TRUE(report.starts_with("77: --user")) << report;
}

TEST(Identity, without_privilege_one_can_be_oneself) {
    NEEDS_ROOT;
    const Identity nobody = look_up_identity("nobody", "");
    EXPECT_EQ(in_child([&] {
                  assume(nobody);
                  assume(look_up_identity("nobody", ""));
                  return status("Uid");
              }),
              four_times(*nobody.uid));
}

}  // namespace
}  // namespace preforkd
