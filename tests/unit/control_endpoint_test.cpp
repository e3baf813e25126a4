#include "common/control_endpoint.hpp"

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

}  // namespace
}  // namespace preforkd
