#include "common/process/sandbox_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "common/process/strict_policy.hpp"

namespace preforkd {
namespace {

constexpr std::array models{Model::Async, Model::Serial, Model::Thread, Model::Fork};

std::vector<CallRule> everything(Model model) { return strictly_needed({.model = model, .writes_files = true}); }

bool leaves(const StrictNeeds& needs, std::string_view name) {
    return std::ranges::any_of(strictly_needed(needs), [&](const CallRule& rule) { return rule.name == name; });
}

TEST(SandboxPolicy, off_is_nothing_and_programs_get_nothing_unless_they_shall) {
    for (const bool programs : {false, true})
        for (const bool too : {false, true}) {
            EXPECT_FALSE(sandbox_parts(SandboxMode::Off, {.starts_programs = programs}, too).any());
            for (const SandboxMode mode : {SandboxMode::Auto, SandboxMode::Strict})
                EXPECT_EQ(sandbox_parts(mode, {.starts_programs = programs}, too).any(), !programs || too);
        }
}

TEST(SandboxPolicy, which_calls_a_program_needs_is_not_guessed) {
    const SandboxParts parts = sandbox_parts(SandboxMode::Strict, {.starts_programs = true}, true);
    EXPECT_EQ(parts, (SandboxParts{.denies = true, .files = true}));
}

TEST(SandboxPolicy, strict_leaves_nothing_that_auto_takes) {
    for (const Model model : models)
        for (const CallRule& rule : everything(model)) {
            EXPECT_EQ(std::ranges::count(sandbox::denied, rule.name), 0) << rule.name;
            EXPECT_NE(rule.name, sandbox::hidden);
        }
}

TEST(SandboxPolicy, what_auto_denies_in_part_strict_leaves_in_part_only) {
    for (const Model model : models)
        for (const CallRule& rule : everything(model))
            if (std::ranges::any_of(sandbox::denied_if, [&](const CallRule& part) { return part.name == rule.name; })) {
                EXPECT_TRUE(rule.when) << rule.name;
            }
}

TEST(SandboxPolicy, no_call_is_named_twice) {
    for (const Model model : models) {
        std::set<std::string_view> names;
        for (const CallRule& rule : everything(model))
            if (!rule.when) { EXPECT_TRUE(names.insert(rule.name).second) << rule.name; }
    }
}

TEST(SandboxPolicy, strict_leaves_no_program_and_processes_to_model_fork_alone) {
    for (const Model model : models) {
        for (const char* const call : {"execve", "execveat", "socket", "connect", "setuid", "chmod"})
            EXPECT_FALSE(leaves({.model = model, .writes_files = true}, call)) << call;
        EXPECT_EQ(leaves({.model = model}, "wait4"), model == Model::Fork);
    }
}

TEST(SandboxPolicy, strict_leaves_changes_of_files_to_those_for_whom_some_are_named) {
    EXPECT_FALSE(leaves({}, "unlink"));
    EXPECT_TRUE(leaves({.writes_files = true}, "unlink"));
    EXPECT_FALSE(leaves({}, "fchmod"));
    // Which are made into another call, so that the log can name the file.
    for (const char* const call : {"open", "openat"}) EXPECT_FALSE(leaves({.writes_files = true}, call));
}

}  // namespace
}  // namespace preforkd
