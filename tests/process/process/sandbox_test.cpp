#include "common/process/sandbox.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "common/process/libseccomp.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using ::testing::HasSubstr;
using testing::in_child;

constexpr SandboxParts deny_list{.denies = true};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool has_sanitizers = true;
#else
constexpr bool has_sanitizers = false;
#endif

std::string error_of(long result) { return result == -1 ? ::strerrorname_np(errno) : "ok"; }

/// What `body` says in a child that has put it on.
std::string within(const Sandbox::Wanted& wanted, const std::function<std::string()>& body) {
    const Sandbox sandbox{wanted};
    if (sandbox.missing()) return "skip: " + *sandbox.missing();
    return in_child([&] {
        sandbox.put_on();
        return body();
    });
}

TEST(Sandbox, a_denied_call_fails_whatever_stands_above_the_bits_that_the_kernel_reads) {
    EXPECT_EQ(within({.parts = deny_list},
                     [] {
                         const auto typed = static_cast<unsigned long>(TIOCSTI);
                         return error_of(::syscall(SYS_ioctl, -1, typed, "x")) + ' ' +
                                error_of(::syscall(SYS_ioctl, -1, typed | 1UL << 32, "x")) + ' ' +
                                error_of(::syscall(SYS_ioctl, -1, FIONREAD, "x"));
                     }),
              "EPERM EPERM EBADF");
}

TEST(Sandbox, a_new_user_namespace_is_denied_and_other_flags_are_not) {
    EXPECT_EQ(within({.parts = deny_list},
                     [] {
                         return error_of(::unshare(CLONE_NEWUSER)) + ' ' + error_of(::unshare(CLONE_FILES)) + ' ' +
                                error_of(::syscall(SYS_clone3, nullptr, 0)) + ' ' + error_of(::setns(-1, 0)) + ' ' +
                                error_of(::setns(-1, CLONE_NEWNET));
                     }),
              "EPERM ok ENOSYS EPERM EBADF");
}

TEST(Sandbox, what_is_named_cannot_be_moved_to_the_rest_of_its_file_and_other_memory_can) {
    constexpr std::size_t page = 4096;
    const auto map = [](std::size_t size, int flags) {
        return static_cast<std::byte*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
    };
    const std::span fixed{map(3 * page, MAP_SHARED), 3 * page};
    std::byte* const other = map(page, MAP_PRIVATE);
    const auto moved = [](std::byte* memory, std::size_t size) {
        return error_of(::mremap(memory, size, 4 * page, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    };
    for (const SandboxParts parts : {deny_list, SandboxParts{.allows_only = true}}) {
        if (parts.allows_only && (has_sanitizers || landlock_version() == 0)) continue;
        EXPECT_EQ(within({.parts = parts, .immovable = fixed},
                         [&] {
                             return moved(fixed.data(), page) + ' ' + moved(fixed.data(), 0) + ' ' +
                                    moved(fixed.data() + page, page) + ' ' + moved(fixed.data() + 2 * page, 0) + ' ' +
                                    moved(other, page) + ' ' +
                                    error_of(::remap_file_pages(fixed.data(), page, 0, 1, 0));
                         }),
                  "EPERM EPERM EPERM EPERM ok EPERM");
    }
}

TEST(Sandbox, threads_and_children_are_made_although_clone3_is_unknown) {
    EXPECT_EQ(within({.parts = deny_list},
                     [] {
                         std::string said;
                         std::thread{[&said] { said = "a thread"; }}.join();
                         return said + ", " + in_child([] { return std::string{"a child"}; });
                     }),
              "a thread, a child");
}

#if defined(__x86_64__)
/// A call of the 32-bit kind, of which every 64-bit program can make use.
long call_of_i386(long number, long first) {
    long result = 0;
    asm volatile("int $0x80" : "=a"(result) : "0"(number), "b"(first) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

TEST(Sandbox, a_call_of_the_older_architecture_is_denied_as_well) {
    const std::string without = in_child([] { return std::to_string(call_of_i386(310, -1)); });
    if (without != std::to_string(-EINVAL)) GTEST_SKIP() << "this kernel runs no 32-bit programs: " << without;
    EXPECT_EQ(within({.parts = deny_list}, [] { return std::to_string(call_of_i386(310, CLONE_NEWUSER)); }),
              std::to_string(-EPERM));
}
#endif

TEST(Sandbox, libseccomp_leaves_no_mapping_behind) {
    const auto is_mapped = [] {
        std::ifstream maps{"/proc/self/maps"};
        for (std::string line; std::getline(maps, line);)
            if (line.find("libseccomp") != line.npos) return true;
        return false;
    };
    {
        const Libseccomp library;
        EXPECT_TRUE(is_mapped());
    }
    EXPECT_FALSE(is_mapped());
    const Sandbox sandbox{{.parts = deny_list}};
    EXPECT_FALSE(is_mapped());
}

TEST(Sandbox, where_a_filter_denies_filters_that_is_told_and_nothing_is_refused) {
    EXPECT_THAT(in_child([] {
                    std::array program{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                                       sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
                                       sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                                       sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
                    testing::restrict_system_calls(program);
                    const Sandbox sandbox{{.parts = deny_list}};
                    sandbox.put_on();
                    return sandbox.missing().value_or("nothing");
                }),
                HasSubstr("denies seccomp(2)"));
}

struct Strict : ::testing::Test {
    void SetUp() override {
        if (has_sanitizers) GTEST_SKIP() << "sanitizers need more than strict leaves";
        if (landlock_version() == 0) GTEST_SKIP() << "there is no Landlock here";
    }
};

constexpr SandboxParts allow_list{.allows_only = true, .files = true};

TEST_F(Strict, a_call_that_is_not_left_fails_and_is_logged_once) {
    const testing::Pipe log = testing::make_pipe();
    const std::string report = within({.parts = allow_list}, [&log] {
        ::dup2(log.writer.get(), STDERR_FILENO);
        open_log({.format = LogFormat::Text});
        std::string errors;
        for (int times = 0; times < 3; ++times) errors += error_of(::socket(AF_INET, SOCK_STREAM, 0)) + ' ';
        errors += error_of(::open("/etc/passwd", O_RDONLY)) + ' ';
        errors += error_of(::open("/does/not/exist", O_RDONLY)) + '\n';
        std::array<char, 4096> text{};
        const ssize_t size = ::read(log.reader.get(), text.data(), text.size());
        return errors + std::string{text.data(), static_cast<std::size_t>(size)};
    });
    EXPECT_THAT(report, HasSubstr("EPERM EPERM EPERM EACCES ENOENT\n"));
    EXPECT_THAT(report, HasSubstr("--sandbox strict denies the system call socket ("));
    EXPECT_THAT(report, HasSubstr("--sandbox strict denies this file; --allow-read allows it: /etc/passwd"));
    constexpr std::string_view said = "denies the system call socket";
    EXPECT_EQ(report.find(said), report.rfind(said));
}

TEST_F(Strict, a_signal_that_no_filter_has_sent_means_what_it_meant) {
    EXPECT_EQ(within({.parts = allow_list}, [] { return error_of(::raise(SIGSYS)); }), " (and the child died)");
}

TEST_F(Strict, files_are_those_that_are_named_and_an_unnamed_one_may_be_missing) {
    const testing::TemporaryDirectory directory;
    for (const char* const name : {"read", "written", "other"}) std::ofstream{directory / name} << name;
    const Sandbox::Wanted wanted{.parts = {.files = true},
                                 .files = {{.path = directory / "read", .option = "--allow-read"},
                                           {.path = directory / "written", .written = true, .option = "--allow-write"},
                                           {.path = directory / "missing"}}};
    EXPECT_EQ(within(wanted,
                     [&] {
                         std::string errors;
                         for (const char* const name : {"read", "written", "other"})
                             for (const int how : {O_RDONLY, O_WRONLY})
                                 errors += error_of(::open((directory / name).c_str(), how | O_CLOEXEC)) + ' ';
                         return errors;
                     }),
              "ok EACCES ok ok EACCES EACCES ");
}

TEST_F(Strict, a_path_of_an_option_that_cannot_be_had_names_the_option) {
    EXPECT_EQ(within({.parts = {.files = true}, .files = {{.path = "/does/not/exist", .option = "--allow-read"}}},
                     [] { return std::string{"put on"}; }),
              "exception: --allow-read /does/not/exist: No such file or directory");
}

}  // namespace
}  // namespace preforkd
