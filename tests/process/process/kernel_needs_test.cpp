#include "common/process/kernel_needs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <string>

#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What check_kernel() says where one system call answers with an error.
std::string said_without(long call, int error) {
    return testing::in_child([=] {
        std::array program{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                           sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
                           sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
                           sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        testing::restrict_system_calls(program);
        check_kernel();
        return std::string{"fine"};
    });
}

TEST(KernelNeeds, this_kernel_has_what_a_master_needs) { EXPECT_NO_THROW(check_kernel()); }

TEST(KernelNeeds, a_call_that_the_kernel_does_not_know_is_named_with_the_kernel_that_does) {
    EXPECT_THAT(said_without(SYS_pidfd_open, ENOSYS),
                AllOf(StartsWith("71: pidfd_open: Function not implemented: "), HasSubstr("Linux 5.9")));
}

TEST(KernelNeeds, a_call_that_a_profile_forbids_is_named_with_the_profile) {
    EXPECT_THAT(said_without(SYS_pidfd_send_signal, EPERM),
                AllOf(StartsWith("71: pidfd_send_signal: Operation not permitted: "), HasSubstr("seccomp profile")));
    EXPECT_THAT(said_without(SYS_close_range, EPERM), StartsWith("71: close_range: "));
    EXPECT_THAT(said_without(SYS_memfd_create, EPERM), StartsWith("71: memfd_create: "));
    EXPECT_THAT(said_without(SYS_accept4, EPERM), StartsWith("71: accept4: "));
    EXPECT_THAT(said_without(SYS_waitid, ENOSYS), StartsWith("71: waitid of a pidfd: "));
}

TEST(KernelNeeds, io_uring_is_not_among_them) { EXPECT_EQ(said_without(SYS_io_uring_setup, EPERM), "fine"); }

}  // namespace
}  // namespace preforkd
