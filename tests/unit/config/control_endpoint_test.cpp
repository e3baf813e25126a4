#include "common/config/control_endpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

TEST(ControlEndpoint, it_is_a_unix_stream_socket) {
    EXPECT_EQ(to_string(parse_control_endpoint("unix:///run/x.sock")), "unix:///run/x.sock");
    EXPECT_EQ(to_string(parse_control_endpoint("unix://@x")), "unix://@x");
    for (const char* other : {"", "tcp://localhost:1", "unixgram:///run/x", "fd://x", "/run/x.sock", "on"})
        EXPECT_THROW((void)parse_control_endpoint(other), std::invalid_argument) << other;
}

TEST(ControlEndpoint, it_is_in_the_first_runtime_directory) {
    EXPECT_EQ(to_string(control_in_runtime_directory("/run/a").value()), "unix:///run/a/control.sock");
    EXPECT_EQ(to_string(control_in_runtime_directory("/run/a:/run/b").value()), "unix:///run/a/control.sock");
    EXPECT_EQ(to_string(control_in_runtime_directory("/run/a:80:/run/b").value()), "unix:///run/a:80/control.sock");
    for (const char* none : {"", ":", "relative", ":/run/b"}) EXPECT_FALSE(control_in_runtime_directory(none)) << none;
    EXPECT_FALSE(control_in_runtime_directory(nullptr));
}

TEST(ControlEndpoint, what_is_wrong_with_a_path_is_said) {
    try {
        (void)parse_control_endpoint("unix:///" + std::string(107, 'x'));
        ADD_FAILURE();
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("has a path of 108 bytes; the kernel takes at most 107"));
    }
}

TEST(ControlEndpoint, by_hand_it_is_in_a_directory_of_this_user_never_in_the_services) {
    EXPECT_EQ(control_directory_by_hand(true, "/run/user/0"), "/run/preforkd-by-hand");
    EXPECT_EQ(control_directory_by_hand(false, "/run/user/7"), "/run/user/7/preforkd");
    for (const char* none : {"", "relative"}) EXPECT_EQ(control_directory_by_hand(false, none), std::nullopt);
    EXPECT_EQ(control_directory_by_hand(false, nullptr), std::nullopt);
    EXPECT_EQ(to_string(control_by_hand("/a", "web")), "unix:///a/web.sock");
    EXPECT_EQ(name_by_hand("web.sock"), "web");
    for (const char* other : {"web", ".sock", "web.lock"}) EXPECT_EQ(name_by_hand(other), std::nullopt) << other;
}

TEST(ControlEndpoint, a_name_is_a_file_name_with_space_for_a_pid) {
    for (const std::string good : {"a", "preforkd", "web_1.test-2"}) EXPECT_EQ(read_daemon_name(good), good);
    const std::string longest(40, 'x');
    EXPECT_EQ(read_daemon_name(longest), longest);
    EXPECT_NO_THROW((void)parse_control_endpoint(
        to_string(control_by_hand("/run/user/4294967295/preforkd", longest + "-4194304"))));
    for (const std::string& bad : {std::string{}, std::string{".."}, std::string{"-i"}, std::string{"a/b"},
                                   std::string{"a b"}, std::string{"Ã¤"}, longest + "x"})
        EXPECT_THROW((void)read_daemon_name(bad), std::invalid_argument) << bad;
}

TEST(ControlEndpoint, a_reload_compares_where_it_comes_to) {
    EXPECT_EQ(control_place("", "/run/preforkd"), control_place("unix:///run/preforkd/control.sock", "/run/preforkd"));
    EXPECT_EQ(control_place("", nullptr), "");
    EXPECT_EQ(control_place("off", "/run/preforkd"), "off");
}

}  // namespace
}  // namespace preforkd
