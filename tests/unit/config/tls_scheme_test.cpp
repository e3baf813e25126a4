#include "common/config/tls_scheme.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

TEST(TlsScheme, tls_is_spoken_at_an_address) {
    EXPECT_EQ(strip_tls("tls://:443"), (TlsScheme{.tls = true, .address = "tcp://:443"}));
    EXPECT_EQ(strip_tls("tls://[::1]:443"), (TlsScheme{.tls = true, .address = "tcp://[::1]:443"}));
    EXPECT_EQ(strip_tls("tls+unix:///run/x"), (TlsScheme{.tls = true, .address = "unix:///run/x"}));
    EXPECT_EQ(strip_tls("tls+unix://@x"), (TlsScheme{.tls = true, .address = "unix://@x"}));
    EXPECT_EQ(strip_tls("tls+fd://x"), (TlsScheme{.tls = true, .address = "fd://x"}));
}

TEST(TlsScheme, other_endpoints_and_what_is_none_are_left_as_they_are) {
    for (const char* other : {"", ":443", "tcp://:443", "udp://:443", "unix:///run/tls+unix:", "tls", "tls:443", "tls+",
                              "TLS://:443", "xtls+unix:///x"})
        EXPECT_EQ(strip_tls(other), (TlsScheme{.address = other})) << other;
}

TEST(TlsScheme, any_other_scheme_of_tls_is_refused_by_name) {
    for (const char* other : {"tls+tcp://:443", "tls+udp://:443", "tls+unixgram:///x", "tls+tls://:1", "tls+://:1",
                              "tls+unix+fd://x", "tls::443", "tls:localhost:443", "tls:/run/x", "tls+unix:/run/x"})
        try {
            (void)strip_tls(other);
            ADD_FAILURE() << other;
        } catch (const std::invalid_argument& error) {
            EXPECT_THAT(error.what(), testing::HasSubstr("expected tls://HOST:PORT, tls+unix:///PATH")) << other;
            EXPECT_THAT(error.what(), testing::HasSubstr(other));
        }
}

TEST(TlsScheme, there_is_a_way_back) {
    for (const char* text : {"tls://localhost:443", "tls+unix:///run/x", "tls+unix://@x", "tls+fd://x"})
        EXPECT_EQ(add_tls(strip_tls(text).address), text);
    EXPECT_EQ(add_tls("udp://:1"), "udp://:1");
}

}  // namespace
}  // namespace preforkd
