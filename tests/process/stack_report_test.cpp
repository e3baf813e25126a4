#include "daemon/worker/stack_report.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "common/channel.hpp"
#include "common/clock.hpp"
#include "common/spawn.hpp"
#include "daemon/master/stack_frame.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::comes;
using testing::end_of;
using testing::killed;

/// A worker that is about to hang; what it reports comes to the test.
struct Worker {
    explicit Worker(const std::function<void(int reports)>& hang)
        : process{spawn([&] {
              ::prctl(PR_SET_PDEATHSIG, SIGKILL);
              channel.master = UniqueFd{};
              report_stack_on_abort(channel.worker.get());
              send_report(channel.worker.get(), Report::Kind::Ready);
              hang(channel.worker.get());
              return 0;
          })} {
        channel.worker = UniqueFd{};
    }

    bool is_ready() {
        if (!comes(channel.master.get())) return false;
        const auto received = receive_report(channel.master.get());
        const auto* report = std::get_if<Report>(&received);
        return report != nullptr && report->kind == Report::Kind::Ready;
    }

    /// All that it tells until it is gone.
    std::vector<StackFrame> stack() {
        std::vector<StackFrame> frames;
        while (comes(channel.master.get())) {
            const auto received = receive_report(channel.master.get());
            if (const auto* report = std::get_if<Report>(&received); report && report->kind == Report::Kind::Stack)
                frames.push_back(read_stack_frame(report->text));
            if (std::holds_alternative<PeerGone>(received)) break;
        }
        return frames;
    }

    ChannelPair channel = open_channel();
    ChildProcess process;
};

bool names(const StackFrame& frame, const std::string& function) { return frame.function.starts_with(function + "+"); }

bool has(const std::vector<StackFrame>& frames, const std::string& function) {
    return std::ranges::any_of(frames, [&](const StackFrame& frame) { return names(frame, function); });
}

[[noreturn]] void spin(std::atomic<int>& turns) {
    for (;;) turns.store(1);
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
    Worker worker{[](int) { ::pause(); }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    const auto frames = worker.stack();
    ASSERT_GE(frames.size(), 3U);
    EXPECT_TRUE(names(frames[0], "pause")) << frames[0].function;
    EXPECT_NE(frames[0].where.find("libc.so.6+0x"), std::string::npos) << frames[0].where;
    EXPECT_NE(frames[1].where.find("process_tests+0x"), std::string::npos) << frames[1].where;
    EXPECT_TRUE(has(frames, "__libc_start_main"));
    for (std::size_t number = 0; number < frames.size(); ++number)
        EXPECT_EQ(frames[number].number, std::to_string(number));
    const ExitReport report = end_of(worker.process);
    EXPECT_NE(report.kind, ExitReport::Kind::Exited) << "a core still comes";
    EXPECT_EQ(report.value, SIGABRT);
}

TEST(StackReport, a_worker_that_spins_tells_where) {
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto* const turns = new (shared) std::atomic<int>{0};
    Worker worker{[=](int) { spin(*turns); }};
    while (turns->load() == 0) ::sched_yield();
    worker.process.signal(SIGABRT);
    const auto frames = worker.stack();
    ASSERT_GE(frames.size(), 3U);
    EXPECT_NE(frames[0].where.find("process_tests+0x"), std::string::npos) << frames[0].where;
    EXPECT_EQ(end_of(worker.process).value, SIGABRT);
}

TEST(StackReport, an_abort_of_the_handlers_own_is_told) {
    Worker worker{[](int) { std::abort(); }};
    ASSERT_TRUE(worker.is_ready());
    EXPECT_TRUE(has(worker.stack(), "abort"));
    EXPECT_EQ(end_of(worker.process).value, SIGABRT);
}

TEST(StackReport, the_thread_that_is_blamed_shows_its_stack) {
    Worker worker{[](int reports) {
        testing::Pipe blamed = testing::make_pipe();
        std::thread hung{[&] {
            blame_thread(::gettid());
            blamed.writer = UniqueFd{};
            ::pause();
        }};
        (void)testing::read_to_end(blamed.reader.get());
        send_report(reports, Report::Kind::Ready);
        ::poll(nullptr, 0, -1);
        hung.join();
    }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(worker.is_ready()) << "and so is its thread";
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    const auto frames = worker.stack();
    EXPECT_TRUE(has(frames, "pause"));
    EXPECT_FALSE(has(frames, "__libc_start_main")) << "that is the main thread's";
    EXPECT_EQ(end_of(worker.process).value, SIGABRT);
}

TEST(StackReport, when_the_blamed_thread_has_gone_the_main_thread_answers) {
    Worker worker{[](int) {
        std::thread gone{[] { blame_thread(::gettid()); }};
        gone.join();
        ::pause();
    }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    EXPECT_TRUE(has(worker.stack(), "__libc_start_main"));
    EXPECT_EQ(end_of(worker.process).value, SIGABRT);
}

TEST(StackReport, a_stack_without_end_is_cut) {
    Worker worker{[](int) {
        const std::function<void(int)> down = [&](int depth) {
            if (depth == 0) ::pause();
            down(depth - 1);
            (void)::getpid();  // no tail call
        };
        down(1000);
    }};
    ASSERT_TRUE(worker.is_ready());
    ASSERT_TRUE(sleeps(worker.process.pid()));
    worker.process.signal(SIGABRT);
    EXPECT_EQ(worker.stack().size(), 64U);
    EXPECT_EQ(end_of(worker.process).value, SIGABRT);
}

}  // namespace
}  // namespace preforkd
