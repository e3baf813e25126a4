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
    EXPECT_EQ(
        why_not(":9090"),
        "\"tcp://:9090\": would tell everybody who reaches this machine; use tcp://localhost:9090, or spell it out: "
        "tcp://0.0.0.0:9090 or tcp://[::]:9090");
}

TEST(ObserveEndpoint, keys_of_clients_do_not_fit) {
    for (const std::string_view text :
         {"tcp://localhost:1 handler=echo", "tcp://localhost:1 allow=::1", "unix:///x max=3"})
        EXPECT_NE(why_not(text).find("only the keys"), std::string::npos) << text;
    EXPECT_EQ(why_not("tcp://localhost:1 mode=0600"),
              "\"tcp://localhost:1\": mode= does not fit; tcp takes only the keys backlog= and v6only= here");
    EXPECT_EQ(why_not("fd://x mode=0600"), "\"fd://x\": mode= does not fit; fd takes no keys here");
}

TEST(ObserveEndpoint, what_fits_is_listed_and_nothing_else) {
    for (const std::string_view text : {"udp://localhost:1", "unixgram:///x", "tls://localhost:1", "http://x:1", "no"})
        EXPECT_TRUE(why_not(text).ends_with(": expected tcp://HOST:PORT, unix:///PATH, unix://@NAME, fd://NAME or off"))
            << text;
    EXPECT_NE(why_not("localhost:9").find("write tcp://localhost:9"), std::string::npos);
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
