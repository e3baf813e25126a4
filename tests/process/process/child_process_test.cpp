#include "common/process/child_process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::end_of;
using testing::exited;

ChildProcess idler() {
    return spawn([] {
        for (;;) ::pause();
        return 0;
    });
}

TEST(ChildProcess, a_running_child_has_no_exit_report) {
    const ChildProcess child = idler();
    EXPECT_EQ(child.try_reap(), std::nullopt);
    EXPECT_FALSE(testing::is_readable(child.pidfd()));
    child.signal(SIGKILL);
    EXPECT_EQ(end_of(child), testing::killed(SIGKILL));
}

TEST(ChildProcess, an_exit_code_and_a_killing_signal_are_told_apart) {
    EXPECT_EQ(end_of(spawn([] { return 9; })), exited(9));
    EXPECT_EQ(end_of(spawn([] { return ::raise(SIGKILL); })), testing::killed(SIGKILL));
}

TEST(ChildProcess, what_it_has_used_is_told_when_it_is_reaped) {
    constexpr std::size_t much_bytes = 32U << 20U;
    const ChildProcess child = spawn([] {
        std::vector<char> touched(much_bytes, 'x');
        return touched.back() == 'x' ? 0 : 1;
    });
    ASSERT_TRUE(testing::comes(child.pidfd()));
    rusage used{};
    EXPECT_EQ(child.try_reap(&used), testing::success);
    EXPECT_GE(static_cast<std::size_t>(used.ru_maxrss) * 1024, much_bytes);
}

TEST(ChildProcess, a_core_dump_is_noticed) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "a core of an address space under AddressSanitizer is too large";
#endif
    const testing::TemporaryDirectory directory;
    const ChildProcess child = spawn([&] {
        rlimit cores{};
        ::getrlimit(RLIMIT_CORE, &cores);
        cores.rlim_cur = cores.rlim_max;
        ::setrlimit(RLIMIT_CORE, &cores);
        check(::chdir(directory.path().c_str()), "chdir");
        return ::raise(SIGQUIT);
    });
    const ExitReport report = end_of(child);
    EXPECT_EQ(report.value, SIGQUIT);
    if (report.kind == ExitReport::Kind::Killed) GTEST_SKIP() << "this machine writes no core dumps";
    EXPECT_EQ(report.kind, ExitReport::Kind::Dumped);
}

TEST(ChildProcess, a_signal_to_one_that_is_gone_is_no_error) {
    const ChildProcess child = spawn([] { return 0; });
    EXPECT_TRUE(testing::comes(child.pidfd()));
    child.signal(SIGTERM);  // a zombie
    EXPECT_EQ(child.try_reap(), exited(0));
    child.signal(SIGTERM);  // reaped
}

TEST(ChildProcess, one_that_somebody_else_has_reaped_has_ended_nobody_knows_how) {
    const ChildProcess child = spawn([] { return 3; });
    EXPECT_EQ(::waitpid(child.pid(), nullptr, 0), child.pid());
    EXPECT_EQ(child.try_reap(), (ExitReport{ExitReport::Kind::Unknown, 0}));
}

TEST(ChildProcess, where_sigchld_is_ignored_one_runs_and_has_ended_nobody_knows_how) {
    EXPECT_EQ(testing::in_child([]() -> std::string {
                  ::signal(SIGCHLD, SIG_IGN);
                  const ChildProcess child = idler();
                  if (child.try_reap()) return "it is still running";
                  child.signal(SIGKILL);
                  return describe(end_of(child));
              }),
              "ended unobserved");
}

TEST(ChildProcess, one_that_runs_and_is_somebody_elses_has_not_ended) {
    const ChildProcess child = idler();
    EXPECT_EQ(testing::in_child([&]() -> std::string { return child.try_reap() ? "ended" : "runs"; }),
              "exception: reap worker: No child processes");
    child.signal(SIGKILL);
    end_of(child);
}

TEST(ChildProcess, its_handle_is_close_on_exec) {
    const ChildProcess child = spawn([] { return 0; });
    EXPECT_NE(::fcntl(child.pidfd(), F_GETFD) & FD_CLOEXEC, 0);
    end_of(child);
}

TEST(ChildProcess, destroying_the_handle_neither_kills_nor_waits) {
    testing::Pipe pipe = testing::make_pipe();
    testing::Pipe orders = testing::make_pipe();
    pid_t pid = 0;
    {
        const ChildProcess child = spawn([&] {
            orders.writer = {};
            char byte = 0;
            if (::read(orders.reader.get(), &byte, 1) != 1) return 1;
            return ::write(pipe.writer.get(), &byte, 1) == 1 ? 0 : 1;
        });
        pid = child.pid();
    }
    ASSERT_EQ(::write(orders.writer.get(), "x", 1), 1);
    pipe.writer = {};
    EXPECT_EQ(testing::read_to_end(pipe.reader.get()), "x") << "the child lived on";
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid) << "and was left to be reaped";
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace preforkd
