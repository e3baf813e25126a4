#include "daemon/worker/program/copy_sockets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<CopySocket> sockets_at(const std::vector<std::string>& endpoints) {
    std::vector<CopySocket> sockets;
    for (const std::string& each : endpoints) {
        const Endpoint local = parse_endpoint(each);
        sockets.push_back({.local = local, .name = local.path.empty() ? std::to_string(local.port) : "x.sock"});
    }
    return sockets;
}

const std::vector<CopySocket> two = sockets_at({"tcp://127.0.0.1:80", "unix:///run/x.sock"});
const CopyParent parent{.pid = 7, .generation = 3};

std::string misfit(PassStyle pass, const std::vector<std::string>& arguments, const std::vector<CopySocket>& sockets) {
    return why_not_passed(pass, arguments, sockets).value_or("");
}

TEST(CopySockets, systemd_names_and_counts_them) {
    EXPECT_THAT(variables_of(PassStyle::Listen, two, parent), ElementsAre("LISTEN_FDS=2", "LISTEN_FDNAMES=80:x.sock"));
}

TEST(CopySockets, server_starter_has_addresses_without_a_scheme) {
    EXPECT_THAT(variables_of(PassStyle::Starter, two, parent),
                ElementsAre("SERVER_STARTER_PORT=127.0.0.1:80=3;/run/x.sock=4", "SERVER_STARTER_GENERATION=3"));
    EXPECT_THAT(variables_of(PassStyle::Starter, sockets_at({"tcp://:80", "tcp://[::1]:81"}), parent),
                ElementsAre("SERVER_STARTER_PORT=80=3;[::1]:81=4", "SERVER_STARTER_GENERATION=3"));
}

TEST(CopySockets, einhorn_s_workers_know_their_parent) {
    EXPECT_THAT(variables_of(PassStyle::Einhorn, two, parent),
                ElementsAre("EINHORN_FD_COUNT=2", "EINHORN_MASTER_PID=7", "EINHORN_FD_0=3", "EINHORN_FD_1=4"));
}

TEST(CopySockets, standard_input_tells_itself) {
    EXPECT_THAT(variables_of(PassStyle::Fd0, sockets_at({"tcp://:80"}), parent), ElementsAre());
    EXPECT_EQ(misfit(PassStyle::Fd0, {"cat"}, sockets_at({"tcp://:80"})), "");
    EXPECT_THAT(misfit(PassStyle::Fd0, {"cat"}, two),
                HasSubstr("gives one socket, and there are 2: {fd:80} is tcp://"));
}

TEST(CopySockets, numbers_take_the_place_of_braces_that_name_a_socket) {
    EXPECT_THAT(
        with_descriptors(std::vector<std::string>{"p", "--fd={fd}", "fd://{fd:x.sock}", "{fd:127.0.0.1:80}"}, two),
        ElementsAre("p", "--fd=3", "fd://4", "3"));
}

TEST(CopySockets, other_braces_are_the_program_s) {
    const std::vector<std::string> own{"{}", "{fd", "{fdx}", "{fd:}", "a{b}c", "{{fd"};
    EXPECT_EQ(with_descriptors(own, two), own);
    EXPECT_EQ(misfit(PassStyle::Listen, own, two), "");
}

TEST(CopySockets, where_braces_name_some_they_have_to_name_all) {
    EXPECT_EQ(misfit(PassStyle::Listen, {"p", "{fd}", "{fd:x.sock}"}, two), "");
    EXPECT_EQ(misfit(PassStyle::Listen, {"p", "{fd}"}, sockets_at({"tcp://:80"})), "");
    EXPECT_EQ(misfit(PassStyle::Listen, {"p"}, two), "") << "the environment tells";
    EXPECT_THAT(misfit(PassStyle::Listen, {"p", "{fd}"}, two), HasSubstr("passes unix:///run/x.sock"));
    EXPECT_THAT(misfit(PassStyle::Listen, {"p", "{fd:y}"}, two), HasSubstr("{fd:y} is none of its sockets"));
}

}  // namespace
}  // namespace preforkd
