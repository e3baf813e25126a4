#include "daemon/master/pool/shared_areas.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

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

/// A generation that is there, with services of which each is another user's.
Generation with_services_of(const std::vector<uid_t>& users) {
    Generation generation;
    generation.body = [](WorkerHandoff) { return 0; };
    for (const uid_t user : users)
        generation.pool.services.push_back({.name = std::to_string(user), .shared = {.memory = true, .user = user}});
    return generation;
}

TEST(SharedAreas, are_given_back_once_no_service_is_their_user_s) {
    constexpr uid_t another = 65534;
    if (::geteuid() != 0) GTEST_SKIP() << "making another user's takes root";
    SharedAreas areas;
    const SharedEnds own = areas.ends_for({.memory = true, .user = 0}, 0);
    const SharedEnds others = areas.ends_for({.memory = true, .user = another}, 1);
    EXPECT_NE(file_of(own.memory.get()), file_of(others.memory.get()));
    areas.tidy({}, with_services_of({0, another}), nullptr);
    EXPECT_EQ(areas.describe().size(), 2U);
    areas.tidy({}, with_services_of({another}), nullptr);
    ASSERT_EQ(areas.describe().size(), 1U);
    EXPECT_EQ(file_of(areas.describe()[0].memory), file_of(others.memory.get()));
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
