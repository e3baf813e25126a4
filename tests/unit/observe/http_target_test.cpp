#include "daemon/observe/http_target.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

void expect_target(std::string_view target, std::string_view host, std::string_view name, std::string_view path) {
    const HttpTarget read = read_target(target, host);
    EXPECT_EQ(read.name, name) << target;
    EXPECT_EQ(read.path, path) << target;
}

TEST(HttpTarget, is_a_path_or_a_url) {
    expect_target("/readyz", "localhost:9090", "localhost", "/readyz");
    expect_target("/readyz?verbose", "[::1]:9090", "::1", "/readyz");
    expect_target("http://x:1/readyz?verbose", "y", "x", "/readyz");
    expect_target("HTTP://x", "y", "x", "/");
    expect_target("http://x?a/b", "y", "x", "/");
    expect_target("*", "", "", "*");
    expect_target("", "[", "[", "");
}

TEST(HttpTarget, names_of_the_web_are_not_ours) {
    const OwnNames names{.any = false, .host = "metrics.example.org"};
    for (const std::string_view own :
         {"localhost", "LOCALHOST", "127.0.0.1", "::1", "192.0.2.1", "Metrics.Example.org"})
        EXPECT_TRUE(is_own(names, own)) << own;
    for (const std::string_view other : {"example.org", "localhost.example.org", "127.0.0.1.example.org", "0/0", ""})
        EXPECT_FALSE(is_own(names, other)) << other;
    EXPECT_TRUE(is_own({}, "example.org"));
}

}  // namespace
}  // namespace preforkd
