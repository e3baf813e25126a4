#include "daemon/observe/agent_line.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

std::string line_of(std::string phase, std::uint64_t open, std::uint64_t slots, std::optional<std::string> why = {}) {
    const Snapshot snapshot{.why_not_ready = std::move(why),
                            .status = {.phase = std::move(phase), .connection_slots = slots, .connections = open}};
    return agent_line(&snapshot);
}

TEST(AgentLine, the_weight_is_the_free_part_and_never_nothing) {
    EXPECT_EQ(line_of("running", 0, 2048), "ready up 100%\n");
    EXPECT_EQ(line_of("running", 512, 2048), "ready up 75%\n");
    EXPECT_EQ(line_of("running", 2048, 2048), "ready up 1%\n");
    EXPECT_EQ(line_of("running", 4096, 2048), "ready up 1%\n") << "two generations for a moment";
}

TEST(AgentLine, states_are_told_whole) {
    EXPECT_EQ(line_of("draining", 1, 2, "not ready: draining"), "drain up #draining\n");
    EXPECT_EQ(line_of("running", 1, 2, "not ready: no worker serves"), "ready down #not ready: no worker serves\n");
    EXPECT_EQ(agent_line(nullptr), "down #master does not answer\n");
}

}  // namespace
}  // namespace preforkd
