// Lines of several processes, by way of a pipe and the process that writes them.
#include "common/log/log_pipe.hpp"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>

#include "common/log/log_line.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/log_fixture.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace log_test;
using ::testing::EndsWith;

class LogPipes : public Log {
protected:
    LogPipe pipe = open_log_pipe();

    /// Opens the log, and writes there what comes out of the pipe, in a child.
    ChildProcess start_writing() {
        return spawn([this] {
            open_log({.format = LogFormat::Text, .file = path("log")});
            pipe.writer = {};
            write_log_of(pipe.reader.get());
            return 0;
        });
    }
    /// Logs as a worker does, in a child that has ended.
    void log_from_a_child(const std::function<void()>& say) {
        const ChildProcess child = spawn([&] {
            open_log({.format = LogFormat::Text, .file = path("log")});
            log_into_pipe(pipe.writer.get());
            say();
            return 0;
        });
        EXPECT_EQ(testing::end_of(child), testing::success);
    }
    void end(const ChildProcess& writing) {
        pipe.writer = {};
        EXPECT_EQ(testing::end_of(writing), testing::success);
    }
    [[nodiscard]] std::vector<std::string> lines() const { return lines_of(content_of(path("log"))); }
};

TEST_F(LogPipes, lines_are_in_the_file_at_the_end_of_the_pipe) {
    log_from_a_child([] {
        for (int n = 0; n < 1000; ++n) log(LogLevel::Info, "line", {{"n", std::int64_t{n}}});
    });
    end(start_writing());
    ASSERT_EQ(lines().size(), 1000U);
    EXPECT_THAT(lines().front(), EndsWith(" info    line n=0"));
    EXPECT_THAT(lines().back(), EndsWith(" info    line n=999"));
}

TEST_F(LogPipes, the_longest_lines_of_several_processes_never_mix) {
    const ChildProcess writing = start_writing();
    std::vector<ChildProcess> children;
    for (char letter = 'a'; letter <= 'd'; ++letter)
        children.push_back(spawn([&] {
            open_log({.format = LogFormat::Text, .file = path("log")});
            log_into_pipe(pipe.writer.get());
            const std::string body(5000, letter);
            for (std::uint64_t n = 0; n - dropped_log_lines() < 100; ++n) log(LogLevel::Info, body);
            return 0;
        }));
    for (const ChildProcess& child : children) EXPECT_EQ(testing::end_of(child), testing::success);
    end(writing);
    std::size_t whole = 0;
    for (const std::string& line : lines()) {
        if (line.find(" log lines dropped") != line.npos) continue;
        const std::string body = line.substr(line.rfind(' ') + 1);
        EXPECT_EQ(body, std::string(body.size() - 3, body[0]) + "...");
        EXPECT_GE(line.size() + 2, log_line_limit_bytes);
        ++whole;
    }
    EXPECT_EQ(whole, 400U);
}

TEST_F(LogPipes, a_line_that_is_left_unfinished_ends_where_the_next_begins) {
    (void)!::write(pipe.writer.get(), "torn", 4);
    log_from_a_child([] { log(LogLevel::Info, "whole"); });
    (void)!::write(pipe.writer.get(), "the last", 8);
    end(start_writing());
    ASSERT_EQ(lines().size(), 3U);
    EXPECT_EQ(lines()[0], "torn");
    EXPECT_THAT(lines()[1], EndsWith(" info    whole"));
    EXPECT_EQ(lines()[2], "the last");
}

TEST_F(LogPipes, what_a_terminal_would_obey_reaches_the_file_written_out_and_lines_before_and_behind_as_they_are) {
    const ChildProcess writing = start_writing();
    log_from_a_child([] { log(LogLevel::Info, "before"); });
    const std::string raw = "\n\x1b]0;forged\x07 Übermut\n" + std::string(100'000, '\x1b') + "\n";
    for (std::string_view rest = raw; !rest.empty();)
        rest.remove_prefix(static_cast<std::size_t>(::write(pipe.writer.get(), rest.data(), rest.size())));
    log_from_a_child([] { log(LogLevel::Info, "behind"); });
    end(writing);
    ASSERT_GE(lines().size(), 4U);
    EXPECT_THAT(lines().front(), EndsWith(" info    before"));
    EXPECT_EQ(lines()[1], "\\x1b]0;forged\\x07 Übermut");
    std::string longest;  // of which the pipe may have made two
    for (std::size_t at = 2; at + 1 < lines().size(); ++at) longest += lines()[at];
    EXPECT_EQ(longest.size(), 400'000U);
    EXPECT_THAT(lines().back(), EndsWith(" info    behind"));
}

TEST_F(LogPipes, who_makes_the_shared_pipe_block_makes_nobody_wait) {
    log_from_a_child([this] {
        check(::fcntl(pipe.writer.get(), F_SETFL, 0), "fcntl");
        log_until_lost(10);
    });
}

TEST_F(LogPipes, a_pipe_that_nobody_reads_loses_lines_that_are_counted_and_told_of) {
    log_from_a_child([this] {
        log_until_lost(100);
        const ChildProcess writing = start_writing();
        while (content_of(path("log")).find(" log lines dropped: nobody read them\n") == std::string::npos)
            log(LogLevel::Info, "after");
        writing.signal(SIGKILL);
    });
}

TEST_F(LogPipes, standard_error_is_the_pipe_where_it_was_a_file) {
    const UniqueFd file{check(::open(path("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "open")};
    log_from_a_child([&] {
        check(::dup2(file.get(), STDERR_FILENO), "dup2");
        log_into_pipe(pipe.writer.get());
        (void)!::write(STDERR_FILENO, "printed\n", 8);
    });
    end(start_writing());
    EXPECT_EQ(content_of(path("err")), "");
    EXPECT_EQ(lines(), std::vector<std::string>{"printed"});
}

TEST_F(LogPipes, one_that_is_asked_to_leave_leaves_the_rest_to_the_next) {
    const ChildProcess first = start_writing();
    log_from_a_child([] { log(LogLevel::Info, "one"); });
    while (lines().empty()) ::sched_yield();
    first.signal(stop_writing_signal);
    EXPECT_EQ(testing::end_of(first), testing::success);
    log_from_a_child([] { log(LogLevel::Info, "two"); });
    end(start_writing());
    ASSERT_EQ(lines().size(), 2U);
    EXPECT_THAT(lines()[1], EndsWith(" info    two"));
}

TEST_F(LogPipes, a_file_at_its_limit_loses_lines_that_are_counted_once_each) {
    log_from_a_child([] {
        for (int n = 0; n < 100; ++n) log(LogLevel::Info, std::string(93, 'x'));
    });
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto* const dropped = new (shared) std::atomic<std::uint64_t>{0};
    const ChildProcess writing = spawn([&] {
        open_log({.format = LogFormat::Text, .file = path("log")});
        const rlimit limit{.rlim_cur = 1000, .rlim_max = 1000};
        check(::setrlimit(RLIMIT_FSIZE, &limit), "setrlimit");
        ::signal(SIGXFSZ, SIG_IGN);
        const UniqueFd quiet{check(::open("/dev/null", O_WRONLY | O_CLOEXEC), "open")};
        check(::dup2(quiet.get(), STDERR_FILENO), "dup2");
        count_dropped_lines_in(*dropped);
        pipe.writer = {};
        write_log_of(pipe.reader.get());
        return 0;
    });
    end(writing);
    const std::string content = content_of(path("log"));
    EXPECT_EQ(content.size(), 1000U);
    EXPECT_EQ(dropped->load() + static_cast<std::uint64_t>(std::ranges::count(content, '\n')), 100U);
    ::munmap(shared, 4096);
}

}  // namespace
}  // namespace preforkd
