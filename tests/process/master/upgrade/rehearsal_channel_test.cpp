#include "daemon/master/upgrade/rehearsal_channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <system_error>

#include "common/base/sys_error.hpp"

namespace preforkd {
namespace {

class RehearsalChannelTest : public ::testing::Test {
protected:
    std::vector<int> open_files(std::size_t count) {
        std::vector<int> numbers;
        for (std::size_t i = 0; i < count; ++i)
            numbers.push_back(files.emplace_back(check(::memfd_create("file", MFD_CLOEXEC), "make a file")).get());
        return numbers;
    }
    static ino_t file_behind(int fd) {
        struct stat info {};
        check(::fstat(fd, &info), "fstat");
        return info.st_ino;
    }

    RehearsalChannel channel = open_rehearsal_channel();
    std::vector<UniqueFd> files{};
};

TEST_F(RehearsalChannelTest, descriptors_arrive_in_their_order) {
    for (const std::size_t count : {1, 253, 254}) {  // at most 253 are one packet; a container has 1024 open files
        const std::vector<int> sent = open_files(count);
        send_descriptors(channel.master.get(), sent);
        const std::vector<UniqueFd> passed = receive_descriptors(channel.child.get());
        ASSERT_EQ(passed.size(), count);
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_EQ(file_behind(passed[i].get()), file_behind(sent[i]));
            ASSERT_NE(::fcntl(passed[i].get(), F_GETFD) & FD_CLOEXEC, 0);
        }
    }
}

TEST_F(RehearsalChannelTest, a_sender_whose_packets_nobody_reads_fails_and_does_not_block) {
    const std::vector<int> one = open_files(1);
    EXPECT_THROW(for (;;) send_descriptors(channel.master.get(), one), std::system_error);
}

TEST_F(RehearsalChannelTest, a_child_that_is_gone_is_no_error_of_the_sender_s) {
    const std::vector<int> one = open_files(1);
    write_packet(channel.child.get(), "last words");
    send_descriptors(channel.master.get(), one);
    channel.child = {};
    EXPECT_NO_THROW(send_descriptors(channel.master.get(), one));
    EXPECT_EQ(read_packet(channel.master.get()), "last words");
    EXPECT_EQ(read_packet(channel.master.get()), "");
}

TEST_F(RehearsalChannelTest, a_receiver_is_told_that_its_sender_is_gone) {
    channel.master = {};
    EXPECT_THROW((void)receive_descriptors(channel.child.get()), std::runtime_error);
}

TEST_F(RehearsalChannelTest, a_receiver_without_space_for_all_says_what_ran_out) {
    send_descriptors(channel.master.get(), open_files(300));
    rlimit before{};
    check(::getrlimit(RLIMIT_NOFILE, &before), "getrlimit");
    const rlimit few{.rlim_cur = static_cast<rlim_t>(files.back().get()) + 100, .rlim_max = before.rlim_max};
    check(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
    try {
        (void)receive_descriptors(channel.child.get());
        ADD_FAILURE() << "all were received";
    } catch (const std::system_error& error) { EXPECT_EQ(error.code().value(), EMFILE); }
    check(::setrlimit(RLIMIT_NOFILE, &before), "setrlimit");
}

TEST_F(RehearsalChannelTest, nothing_yet_is_told_from_the_end_and_a_long_verdict_is_cut) {
    EXPECT_EQ(read_packet(channel.master.get()), std::nullopt);
    write_packet(channel.child.get(), std::string(PIPE_BUF + 1, 'x'));
    EXPECT_EQ(read_packet(channel.master.get()), std::string(PIPE_BUF, 'x'));
    channel.child = {};
    EXPECT_EQ(read_packet(channel.master.get()), "");
}

TEST(Hello, is_read_back_and_told_from_anything_else) {
    const auto formats = parse_hello(to_hello({.oldest = 3, .newest = 14}));
    ASSERT_TRUE(formats);
    EXPECT_EQ(formats->oldest, 3);
    EXPECT_EQ(formats->newest, 14);
    for (const char* text : {"", "passed", "preforkd", "preforkd reads 1", "preforkd reads one to two"})
        EXPECT_FALSE(parse_hello(text)) << text;
}

}  // namespace
}  // namespace preforkd
