#include "common/systemd/libsystemd.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <fstream>
#include <optional>
#include <string>

#include "common/base/unique_fd.hpp"

namespace preforkd {
namespace {

int mappings_of(const std::string& library) {
    std::ifstream maps{"/proc/self/maps"};
    int count = 0;
    for (std::string line; std::getline(maps, line);) count += line.find(library) != line.npos ? 1 : 0;
    return count;
}

TEST(Libsystemd, answers_while_it_is_open_and_leaves_no_mapping_behind) {
    const UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    for (int round = 0; round < 3; ++round) {
        ASSERT_EQ(mappings_of("libsystemd.so"), 0);
        std::optional<Libsystemd> systemd{std::in_place};
        EXPECT_GT(mappings_of("libsystemd.so"), 0);
        EXPECT_EQ(systemd->is_socket(socket.get(), AF_UNIX, SOCK_DGRAM, 0), 1);
        EXPECT_EQ(systemd->is_socket(socket.get(), AF_UNIX, SOCK_STREAM, -1), 0);
        systemd.reset();
        for (const char* library : {"libsystemd.so", "libgcrypt.so", "liblzma.so", "libzstd.so", "liblz4.so"})
            EXPECT_EQ(mappings_of(library), 0) << library;
    }
}

}  // namespace
}  // namespace preforkd
