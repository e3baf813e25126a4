#include "daemon/master/pool/shared_areas.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace preforkd {
namespace {

int copied(int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); }

ino_t file_of(int fd) {
    struct stat file {};
    EXPECT_EQ(::fstat(fd, &file), 0);
    return file.st_ino;
}

const SharedUse both{.memory = true, .bus = true, .user = ::geteuid()};

TEST(SharedAreas, of_the_image_before_are_those_of_the_next_workers) {
    SharedAreas before;
    const SharedEnds first = before.ends_for(both, 0);
    std::vector<HandedArea> handed = before.describe();
    ASSERT_EQ(handed.size(), 2U);
    for (HandedArea& each : handed) {
        each.memory = copied(each.memory);
        if (each.wakeup >= 0) each.wakeup = copied(each.wakeup);
    }
    SharedAreas after;
    after.adopt(handed);
    const SharedEnds second = after.ends_for(both, 1);
    EXPECT_EQ(file_of(second.memory.get()), file_of(first.memory.get()));
    EXPECT_EQ(file_of(second.bus.get()), file_of(first.bus.get()));
    EXPECT_EQ(after.describe().size(), 2U);
}

TEST(SharedAreas, of_a_layout_that_it_does_not_know_are_handed_on_untouched) {
    const std::string content = "of a version that is to come";
    UniqueFd strange{::memfd_create("strange", MFD_CLOEXEC)};
    ASSERT_EQ(::write(strange.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    SharedAreas areas;
    areas.adopt({{.memory = copied(strange.get()), .wakeup = ::eventfd(0, EFD_CLOEXEC)}});
    const SharedEnds own = areas.ends_for(both, 0);
    EXPECT_NE(file_of(own.memory.get()), file_of(strange.get()));
    const std::vector<HandedArea> handed = areas.describe();
    ASSERT_EQ(handed.size(), 3U);
    EXPECT_EQ(file_of(handed[0].memory), file_of(strange.get()));
    EXPECT_GE(handed[0].wakeup, 0);
    std::string still(content.size() + 1, '\0');
    EXPECT_EQ(::pread(strange.get(), still.data(), still.size(), 0), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(still.substr(0, content.size()), content);
}

TEST(SharedAreas, are_made_for_those_who_use_them) {
    SharedAreas areas;
    const SharedEnds ends = areas.ends_for({.user = ::geteuid()}, 0);
    EXPECT_FALSE(ends.memory);
    EXPECT_FALSE(ends.bus);
    EXPECT_FALSE(ends.wakeup);
    EXPECT_TRUE(areas.describe().empty());
}

}  // namespace
}  // namespace preforkd
