// Names of stored listeners: what systemd accepts, and what the next master learns from them.
#include "common/systemd/fd_store_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace preforkd {
namespace {

constexpr FileIdentity file{.device = 0x801, .inode = 123456789012};

/// Source: systemd, src/basic/fd-util.c, fdname_is_valid().
bool accepted_by_systemd(const std::string& name) {
    return !name.empty() && name.size() <= longest_stored_name &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > 0x1f && c < 0x7f && c != ':'; });
}

TEST(StoredName, tells_one_endpoint_from_another_in_what_systemd_accepts) {
    std::vector<std::string> names;
    for (const char* text :
         {"tcp://127.0.0.1:80", "udp://127.0.0.1:80", "tcp://:80", "tcp://[::1]:80", "unix:///run/a",
          "unixgram:///run/a", "unix://@run/a", "unix:///run/a,b", "unix:///run/a%2cb", "unix:///r/ü x"})
        names.push_back(stored_name(parse_endpoint(text), std::nullopt));
    for (const std::string& name : names) {
        EXPECT_TRUE(accepted_by_systemd(name)) << name;
        EXPECT_TRUE(is_stored_name(name));
        EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
    }
    EXPECT_EQ(names.front(), "preforkd,tcp%3a//127.0.0.1%3a80,");
}

TEST(StoredName, carries_the_file_that_is_ours_to_remove) {
    const Endpoint endpoint = parse_endpoint("unix:///run/a,801.7");
    EXPECT_EQ(file_in_stored_name(stored_name(endpoint, file)), file);
    EXPECT_EQ(file_in_stored_name(stored_name(endpoint, std::nullopt)), std::nullopt);
}

TEST(StoredName, carries_which_of_several_queues_it_is) {
    const Endpoint endpoint = parse_endpoint("tcp://:80");
    EXPECT_EQ(stored_name(endpoint, std::nullopt, 0), stored_name(endpoint, std::nullopt));
    EXPECT_EQ(queue_in_stored_name(stored_name(endpoint, std::nullopt, 12)), 12);
    EXPECT_EQ(file_in_stored_name(stored_name(endpoint, std::nullopt, 12)), std::nullopt);
    for (const char* name : {"preforkd,x,", "preforkd,x,801.7", "web,7", ""})
        EXPECT_EQ(queue_in_stored_name(name), 0) << name;
}

TEST(StoredName, of_a_path_that_is_too_long_once_encoded_is_none) {
    EXPECT_EQ(stored_name({.transport = Transport::Unix, .path = "/" + std::string(100, ' ')}, file), "");
}

TEST(StoredName, of_others_is_told_apart) {
    for (const char* name : {"", "unknown", "stored", "connection", "preforkd", "preforkd.socket", "web,801.7"}) {
        EXPECT_FALSE(is_stored_name(name)) << name;
        EXPECT_EQ(file_in_stored_name(name), std::nullopt) << name;
    }
    for (const char* broken : {"preforkd,x,.", "preforkd,x,8", "preforkd,x,8.", "preforkd,x,g.1", "preforkd,x,1.1.1"})
        EXPECT_EQ(file_in_stored_name(broken), std::nullopt) << broken;
}

}  // namespace
}  // namespace preforkd
