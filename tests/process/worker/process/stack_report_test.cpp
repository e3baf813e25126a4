#include "daemon/worker/process/stack_report.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "common/base/clock.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::comes;
using testing::end_of;
using testing::read_to_end;

/// A worker that is about to crash, or to hang; what it tells comes to the test.
struct Worker {
    explicit Worker(const std::function<void(const std::function<void()>& ready)>& act)
        : process{spawn([&] {
              ::prctl(PR_SET_PDEATHSIG, SIGKILL);
              const rlimit no_core{};
              ::setrlimit(RLIMIT_CORE, &no_core);
              open_log({.format = LogFormat::Text, .file = log});
              report_crashes(7);
              act([this] { (void)!::write(ready.writer.get(), "x", 1); });
              return 0;
          })} {
        ready.writer = UniqueFd{};
    }

    bool is_ready() {
        char byte = 0;
        return comes(ready.reader.get()) && ::read(ready.reader.get(), &byte, 1) == 1;
    }

    ExitReport end() { return end_of(process); }

    /// The lines of the log, once it has ended.
    [[nodiscard]] std::vector<std::string> lines() const {
        std::ifstream file{log};
        std::vector<std::string> found;
        for (std::string line; std::getline(file, line);) found.push_back(line);
        return found;
    }
    [[nodiscard]] std::vector<std::string> stack() const {
        std::vector<std::string> found = lines();
        std::erase_if(found, [](const std::string& line) { return line.find("stack of") == line.npos; });
        return found;
    }
    [[nodiscard]] bool tells(const std::string& text) const {
        return std::ranges::any_of(lines(), [&](const std::string& line) { return line.find(text) != line.npos; });
    }

    testing::TemporaryDirectory directory{};
    std::string log = directory / "log";
    testing::Pipe ready = testing::make_pipe();
    ChildProcess process;
};

[[noreturn]] void spin(std::atomic<int>& turns) {
    for (;;) turns.store(1);
}

[[gnu::noinline]] int fall(volatile char* above) {
    if (above == nullptr) return 0;
    volatile char here[1024];
    here[0] = *above;
    return fall(here) + here[0];  // no tail call
}

/// Waits until all threads of a process sleep, of which the kernel sends no event.
bool sleeps(pid_t process) {
    const auto awake = [&] {
        for (const auto& task : std::filesystem::directory_iterator{"/proc/" + std::to_string(process) + "/task"}) {
            std::string stat;
            std::getline(std::ifstream{task.path() / "stat"}, stat);
            if (stat.find(") S ") == stat.npos) return true;
        }
        return false;
    };
    const auto limit = Clock::now() + std::chrono::milliseconds{testing::patience_ms};
    while (awake() && Clock::now() < limit) ::sched_yield();
    return !awake();
}

TEST(StackReport, a_worker_that_blocks_in_a_system_call_tells_which_and_dies_of_the_signal) {
    Worker worker{[](const auto& ready) {
        ready();
        ::pause();
    }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    EXPECT_EQ(worker.end(), testing::killed(SIGABRT));
    const auto frames = worker.stack();
    ASSERT_GE(frames.size(), 3U);
    const std::string begin = "stack of worker 7 (pid " + std::to_string(worker.process.pid()) + ") #0 ";
    EXPECT_NE(frames[0].find(begin), std::string::npos) << frames[0];
    EXPECT_NE(frames[0].find("pause+0x"), std::string::npos) << frames[0];
    EXPECT_NE(frames[0].find("libc.so.6+0x"), std::string::npos) << frames[0];
    EXPECT_NE(frames[0].find(": addr2line -Cfpe /"), std::string::npos) << frames[0];
    EXPECT_NE(frames[1].find("process_tests+0x"), std::string::npos) << frames[1];
    EXPECT_TRUE(worker.tells("__libc_start_main"));
    EXPECT_FALSE(worker.tells("crashed")) << "who sent the signal has said why";
}

TEST(StackReport, a_worker_that_spins_tells_where) {
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto* const turns = new (shared) std::atomic<int>{0};
    Worker worker{[=](const auto&) { spin(*turns); }};
    while (turns->load() == 0) ::sched_yield();
    worker.process.signal(SIGABRT);
    EXPECT_EQ(worker.end(), testing::killed(SIGABRT));
    const auto frames = worker.stack();
    ASSERT_GE(frames.size(), 3U);
    EXPECT_NE(frames[0].find("process_tests+0x"), std::string::npos) << frames[0];
}

TEST(StackReport, an_abort_of_the_handlers_own_is_a_crash) {
    Worker worker{[](const auto&) { std::abort(); }};
    EXPECT_EQ(worker.end(), testing::killed(SIGABRT));
    EXPECT_TRUE(worker.tells("worker 7 (pid " + std::to_string(worker.process.pid()) + ") crashed: SIGABRT, in "));
    EXPECT_TRUE(worker.tells("abort+0x"));
}

TEST(StackReport, a_fault_is_told_with_its_address_and_the_process_dies_of_it) {
    Worker worker{[](const auto&) { *reinterpret_cast<volatile int*>(0x123) = 1; }};
    const ExitReport end = worker.end();
    if (worker.lines().empty()) GTEST_SKIP() << "a sanitizer reports it";
    EXPECT_EQ(end, testing::killed(SIGSEGV));
    EXPECT_TRUE(worker.tells("crashed: SIGSEGV at address 0x123, in "));
    EXPECT_GE(worker.stack().size(), 3U);
}

TEST(StackReport, a_signal_of_somebody_else_is_told_with_its_sender) {
    Worker worker{[](const auto& ready) {
        ready();
        ::pause();
    }};
    ASSERT_TRUE(worker.is_ready());
    const pid_t sender = ::getpid();
    worker.process.signal(SIGBUS);
    const ExitReport end = worker.end();
    if (worker.lines().empty()) GTEST_SKIP() << "a sanitizer reports it";
    EXPECT_EQ(end, testing::killed(SIGBUS));
    EXPECT_TRUE(worker.tells("crashed: SIGBUS, sent by process " + std::to_string(sender)));
}

TEST(StackReport, a_stack_that_has_overflowed_is_told_in_every_thread_that_is_ready_for_it) {
    for (const bool in_thread : {false, true}) {
        Worker worker{[=](const auto&) {
            volatile char top = 0;
            if (!in_thread) fall(&top);
            std::thread{[&] {
                const SignalStack stack;
                fall(&top);
            }}.join();
        }};
        const ExitReport end = worker.end();
        if (worker.lines().empty()) GTEST_SKIP() << "a sanitizer reports it";
        EXPECT_EQ(end, testing::killed(SIGSEGV));
        EXPECT_TRUE(worker.tells("crashed: SIGSEGV at address 0x"));
        EXPECT_EQ(worker.stack().size(), 64U) << "a stack without end is cut";
    }
}

TEST(StackReport, a_forked_child_tells_whose_it_is) {
    Worker worker{[](const auto&) {
        const ChildProcess child = spawn([]() -> int { std::abort(); });
        comes(child.pidfd());
        (void)child.try_reap();
    }};
    EXPECT_EQ(worker.end(), testing::success);
    EXPECT_TRUE(worker.tells("child of worker 7 (pid "));
    EXPECT_TRUE(worker.tells("crashed: SIGABRT"));
}

TEST(StackReport, who_has_a_handler_already_keeps_it_and_who_wants_one_later_gets_it) {
    Worker worker{[](const auto&) {
        ::signal(SIGTRAP, [](int) { ::_exit(11); });
        report_crashes(7);
        ::raise(SIGTRAP);
    }};
    EXPECT_EQ(worker.end(), testing::exited(11));
    Worker later{[](const auto&) {
        ::signal(SIGBUS, [](int) { ::_exit(12); });
        ::raise(SIGBUS);
    }};
    EXPECT_EQ(later.end(), testing::exited(12));
}

TEST(StackReport, the_thread_that_is_blamed_shows_its_stack) {
    Worker worker{[](const auto& ready) {
        testing::Pipe blamed = testing::make_pipe();
        std::thread hung{[&] {
            blame_thread(::gettid());
            blamed.writer = UniqueFd{};
            ::pause();
        }};
        (void)read_to_end(blamed.reader.get());
        ready();
        ::poll(nullptr, 0, -1);
        hung.join();
    }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    EXPECT_EQ(worker.end(), testing::killed(SIGABRT));
    EXPECT_TRUE(worker.tells("pause+0x"));
    EXPECT_FALSE(worker.tells("__libc_start_main")) << "that is the main thread's";
    EXPECT_FALSE(worker.tells("crashed"));
}

TEST(StackReport, when_the_blamed_thread_has_gone_the_main_thread_answers) {
    Worker worker{[](const auto& ready) {
        std::thread gone{[] { blame_thread(::gettid()); }};
        gone.join();
        ready();
        ::pause();
    }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    EXPECT_EQ(worker.end(), testing::killed(SIGABRT));
    EXPECT_TRUE(worker.tells("__libc_start_main"));
}

}  // namespace
}  // namespace preforkd
