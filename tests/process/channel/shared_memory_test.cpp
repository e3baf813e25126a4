#include "common/channel/shared_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using Number = std::atomic<long>;

template <class T>
T& object_in(const SharedObjects& objects, std::string_view name, std::uint32_t version = 0) {
    return *static_cast<T*>(objects.find({.name = name, .bytes = sizeof(T), .version = version}));
}

UniqueFd copy_of(const SharedMemory& memory) { return UniqueFd{::fcntl(memory.memory_fd(), F_DUPFD_CLOEXEC, 3)}; }

/// What a worker of `generation` has after it has added one to each.
std::string add_in_child(const SharedMemory& memory, int generation, std::uint32_t version = 0) {
    return testing::in_child([&] {
        const SharedObjects objects{memory.memory_fd(), generation};
        auto& others = object_in<std::atomic<int>>(objects, "hits", version);  // of another size
        ++others;
        return std::to_string(++object_in<Number>(objects, "hits", version)) + ' ' + std::to_string(others);
    });
}

std::uint64_t memory_of(const SharedMemory& memory) {
    struct stat file {};
    EXPECT_EQ(::fstat(memory.memory_fd(), &file), 0);
    return static_cast<std::uint64_t>(file.st_blocks) * 512;
}

TEST(SharedMemory, processes_find_an_object_by_its_name_size_and_version) {
    const SharedMemory memory{::geteuid()};
    EXPECT_EQ(add_in_child(memory, 1), "1 1");
    EXPECT_EQ(add_in_child(memory, 1), "2 2");
    EXPECT_EQ(add_in_child(memory, 2, 7), "1 1");
    EXPECT_EQ(add_in_child(memory, 1), "3 3");
}

TEST(SharedMemory, another_image_finds_what_was_there) {
    const SharedMemory before{::geteuid()};
    EXPECT_EQ(add_in_child(before, 1), "1 1");
    UniqueFd copy = copy_of(before);
    const SharedMemory after{copy};
    EXPECT_EQ(after.owner(), ::geteuid());
    EXPECT_EQ(add_in_child(after, 1), "2 2");
}

TEST(SharedMemory, one_of_another_layout_is_left_as_it_is) {
    UniqueFd strange{::memfd_create("strange", MFD_CLOEXEC)};
    const int number = strange.get();
    EXPECT_THROW(SharedMemory{strange}, std::runtime_error);
    EXPECT_EQ(strange.get(), number);
    const SharedMemory before{::geteuid()};
    const std::uint64_t another = 99;
    ASSERT_EQ(::pwrite(before.memory_fd(), &another, sizeof another, 0), ssize_t{sizeof another});
    UniqueFd copy = copy_of(before);
    EXPECT_THROW(SharedMemory{copy}, std::runtime_error);
    EXPECT_TRUE(copy);
}

TEST(SharedMemory, what_only_workers_of_before_had_is_given_back_and_is_zero_for_the_next) {
    const SharedMemory memory{::geteuid()};
    EXPECT_EQ(add_in_child(memory, 1), "1 1");
    const std::uint64_t used = memory_of(memory);
    memory.forget_superseded(2);
    EXPECT_EQ(add_in_child(memory, 2), "2 2") << "nobody had another version";
    EXPECT_EQ(add_in_child(memory, 3, 7), "1 1");
    EXPECT_GT(memory_of(memory), used);
    memory.forget_superseded(2);
    EXPECT_GT(memory_of(memory), used) << "workers of generation 2 live";
    memory.forget_superseded(3);
    EXPECT_EQ(memory_of(memory), used);
    EXPECT_EQ(add_in_child(memory, 4), "1 1");
}

TEST(SharedMemory, its_size_is_nobodys_to_change) {
    const SharedMemory memory{::geteuid()};
    for (const off_t size : {off_t{0}, off_t{1} << 40}) {
        EXPECT_EQ(::ftruncate(memory.memory_fd(), size), -1);
        EXPECT_EQ(errno, EPERM);
    }
}

TEST(SharedMemory, whatever_a_worker_writes_the_master_and_the_others_live) {
    const SharedMemory memory{::geteuid()};
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  void* const all = ::mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, memory.memory_fd(), 0);
                  for (std::size_t byte = 0; byte < 1 << 16; ++byte)
                      static_cast<unsigned char*>(all)[byte] = static_cast<unsigned char>(byte * 31 + 7);
                  return "";
              }),
              "");
    memory.forget_superseded(1'000'000);
    EXPECT_EQ(add_in_child(memory, 1).substr(0, 35), "exception: Worker::shared(): \"hits\"")
        << "all of its rows are taken";
}

TEST(SharedMemory, children_of_a_worker_have_it_too) {
    const SharedMemory memory{::geteuid()};
    const SharedObjects objects{memory.memory_fd(), 1};
    ++object_in<Number>(objects, "hits");
    EXPECT_EQ(testing::in_child([&] { return std::to_string(++object_in<Number>(objects, "hits")); }), "2");
    EXPECT_EQ(object_in<Number>(objects, "hits"), 2);
}

TEST(SharedMemory, names_have_1_to_47_bytes) {
    const SharedMemory memory{::geteuid()};
    const SharedObjects objects{memory.memory_fd(), 1};
    for (const std::string& name : {std::string{}, std::string(48, 'x')})
        EXPECT_THROW((void)object_in<Number>(objects, name), std::invalid_argument) << name;
    EXPECT_EQ(object_in<Number>(objects, std::string(47, 'x')), 0);
}

}  // namespace
}  // namespace preforkd
