#include "common/config/observe_endpoint.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace preforkd {
namespace {

std::string why_not(std::string_view text) {
    try {
        (void)parse_observe_endpoint(text, Serves::Observers);
    } catch (const std::invalid_argument& error) { return error.what(); }
    return "";
}

TEST(ObserveEndpoint, is_read_and_printed_alike) {
    for (const std::string text : {"off", "tcp://localhost:9090", "tcp://0.0.0.0:9090", "tcp://[::]:1 v6only=yes",
                                   "unix:///run/x mode=0660 group=adm", "unix://@x", "fd://metrics"})
        EXPECT_EQ(print_observe_endpoint(parse_observe_endpoint(text, Serves::Agents)), text);
}

TEST(ObserveEndpoint, whom_it_is_for_is_known) {
    EXPECT_EQ(parse_observe_endpoint("fd://x", Serves::Agents)->serves, Serves::Agents);
    EXPECT_EQ(subject_of(*parse_observe_endpoint("tcp://localhost:1", Serves::Observers)),
              "--observe tcp://localhost:1");
}

TEST(ObserveEndpoint, everybody_has_to_be_spelled_out) {
    EXPECT_EQ(why_not(":9090"),
              "tcp://:9090: would tell everybody who reaches this machine; use tcp://localhost:9090, or spell it out: "
              "tcp://0.0.0.0:9090 or tcp://[::]:9090");
}

TEST(ObserveEndpoint, keys_of_clients_do_not_fit) {
    for (const std::string_view text :
         {"tcp://localhost:1 handler=echo", "tcp://localhost:1 allow=::1", "unix:///x max=3"})
        EXPECT_NE(why_not(text).find("only the keys"), std::string::npos) << text;
    for (const std::string_view text : {"udp://localhost:1", "unixgram:///x"})
        EXPECT_NE(why_not(text).find("expected tcp://HOST:PORT"), std::string::npos) << text;
}

TEST(ObserveEndpoint, loopback_is_local) {
    for (const std::string_view text :
         {"tcp://localhost:1", "tcp://127.0.0.2:1", "tcp://[::1]:1", "unix:///x", "fd://x"})
        EXPECT_TRUE(is_local(parse_endpoint(text))) << text;
    for (const std::string_view text : {"tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://192.0.2.1:1", "tcp://example.org:1"})
        EXPECT_FALSE(is_local(parse_endpoint(text))) << text;
}

}  // namespace
}  // namespace preforkd
