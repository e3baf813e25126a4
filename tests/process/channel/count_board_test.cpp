#include "common/channel/count_board.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

#include "common/channel/own_memory.hpp"
#include "common/process/spawn.hpp"
#include "preforkd/counter.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

std::string count_mappings() {
    std::string found;
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);)
        if (line.find("preforkd-counts") != std::string::npos) found += line + '\n';
    return found;
}

UniqueFd copy_of(const CountBoard& board) { return UniqueFd{::fcntl(board.memory_fd(), F_DUPFD_CLOEXEC, 3)}; }

std::uint64_t memory_of(const CountBoard& board) {
    struct stat file {};
    EXPECT_EQ(::fstat(board.memory_fd(), &file), 0);
    return static_cast<std::uint64_t>(file.st_blocks) * 512;
}

TEST(CountBoard, a_child_counts_in_its_own_rows_and_has_nothing_else_of_it) {
    CountBoard board{3};
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  if (!count_mappings().empty()) return "inherited: " + count_mappings();
                  const std::span<ListenerRow> own = board.map_own(1, 2);
                  if (own.size() != 2) return "not its two rows";
                  own[0].accepted = 5;
                  own[1].accepted = 6;
                  const std::string found = count_mappings();
                  const std::size_t begins = found.find('-');
                  const auto first = std::stoull(found.substr(0, begins), nullptr, 16);
                  const auto last = std::stoull(found.substr(begins + 1), nullptr, 16);
                  const std::size_t place = whole_pages(listener_rows * sizeof(ListenerRow));
                  return last - first == place ? "its place" : "more than its place: " + found;
              }),
              "its place");
    EXPECT_EQ(board.rows(1)[0].accepted, 5U);
    EXPECT_EQ(board.rows(1)[1].accepted, 6U);
    EXPECT_EQ(board.rows(0)[0].accepted, 0U);
    EXPECT_EQ(board.rows(2)[0].accepted, 0U);
}

TEST(CountBoard, rows_for_every_listener_fit_behind_the_record) {
    CountBoard board{2};
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  const std::span<ListenerRow> own = board.map_own(1, listener_rows);
                  own.back().accepted = 7;
                  return own.size() == listener_rows ? "all" : "some";
              }),
              "all");
    EXPECT_EQ(board.rows(1)[listener_rows - 1].accepted, 7U);
}

TEST(CountBoard, handlers_of_a_child_count_behind_its_rows) {
    CountBoard board{2};
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  Counter hits{"hits"};
                  hits.add();  // for nobody
                  (void)board.map_own(1, 1);
                  hits.add(4);
                  Counter{"misses"}.add();
                  return "";
              }),
              "");
    const PlausibleCounts most = plausible_for(std::chrono::seconds{1});
    EXPECT_EQ(counts_of(board.handler_counts(1), most),
              (std::map<std::string, std::uint64_t>{{"hits", 4}, {"misses", 1}}));
    EXPECT_TRUE(counts_of(board.handler_counts(0), most).empty());
    EXPECT_TRUE(board.handler_counts(2).empty());
    board.clear(1);
    EXPECT_TRUE(counts_of(board.handler_counts(1), most).empty());
}

TEST(CountBoard, a_place_that_is_not_there_has_no_rows) {
    CountBoard board{2};
    EXPECT_TRUE(board.rows(2).empty());
    EXPECT_TRUE(board.rows(1'000'000).empty());
    EXPECT_TRUE(board.map_own(2, 1).empty());
    board.clear(2);
}

TEST(CountBoard, what_nobody_has_counted_takes_no_memory_nor_what_was_cleared) {
    CountBoard board{3072};
    const std::uint64_t empty = memory_of(board);
    EXPECT_LE(empty, 2 * page_bytes());
    for (ListenerRow& row : board.rows(7)) row.accepted = 1;
    EXPECT_GE(memory_of(board), empty + listener_rows * sizeof(ListenerRow));
    board.clear(7);
    EXPECT_EQ(memory_of(board), empty);
    EXPECT_EQ(board.rows(7)[0].accepted, 0U);
}

TEST(CountBoard, another_image_reads_what_was_counted) {
    CountBoard before{3};
    before.rows(2)[1].accepted = 9;
    CountBoard after{copy_of(before)};
    EXPECT_EQ(after.rows(2)[1].accepted, 9U);
    EXPECT_TRUE(after.rows(3).empty());
}

TEST(CountBoard, what_another_version_has_laid_out_is_not_read) {
    const CountBoard before{3};
    const std::uint64_t another = 99;
    ASSERT_EQ(::pwrite(before.memory_fd(), &another, sizeof another, 8), ssize_t{sizeof another});
    EXPECT_THROW(CountBoard{copy_of(before)}, std::runtime_error);
    EXPECT_THROW(CountBoard{UniqueFd{::memfd_create("short", MFD_CLOEXEC)}}, std::runtime_error);
}

TEST(CountBoard, its_size_is_nobodys_to_change) {
    const CountBoard board{3};
    for (const off_t size : {off_t{0}, off_t{1} << 30}) {
        EXPECT_EQ(::ftruncate(board.memory_fd(), size), -1);
        EXPECT_EQ(errno, EPERM);
    }
}

}  // namespace
}  // namespace preforkd
