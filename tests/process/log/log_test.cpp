// Which lines are printed, where they go, and whose they are.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <map>
#include <thread>

#include "common/log/log_sink.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/log_fixture.hpp"

namespace preforkd {
namespace {

using namespace log_test;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

TEST_F(Log, a_process_counts_where_it_is_told_and_so_do_its_children) {
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    auto* const counter = new (shared) std::atomic<std::uint64_t>{0};
    const ChildProcess child = spawn([=] {
        open_log({.file = "/dev/full"});
        count_dropped_lines_in(*counter);
        log(LogLevel::Info, "dropped");
        const ChildProcess grandchild = spawn([] {
            log(LogLevel::Info, "dropped by a child");
            return 0;
        });
        ::waitpid(grandchild.pid(), nullptr, 0);
        return dropped_log_lines() == 0 ? 0 : 1;
    });
    int status = -1;
    ::waitpid(child.pid(), &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(counter->load(), 2u);
}

TEST_F(Log, goes_to_standard_error_as_json_unless_it_is_a_terminal) {
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({});
    set_log_worker(4);
    log(LogLevel::Notice, "hello", {{"n", std::int64_t{1}}});
    EXPECT_THAT(drain(pipe.far.get()),
                MatchesRegex("\\{\"time\":\"....-..-..T..:..:......Z\",\"level\":\"notice\",\"pid\":" +
                             std::to_string(::getpid()) + ",\"worker\":4,\"message\":\"hello\",\"n\":1\\}\n"));

    if (!has_terminals()) GTEST_SKIP() << no_terminals;
    const Pair terminal = make_terminal();
    use_as_stderr(terminal);
    open_log({});
    log(LogLevel::Info, "hello");
    ::pollfd ready{.fd = terminal.far.get(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, -1);
    EXPECT_THAT(drain(terminal.far.get()),
                MatchesRegex("\x1b.2m....-..-..T..:..:......Z\x1b.0m info    worker 4: hello\n"));
}

TEST_F(Log, has_no_colours_where_nobody_wants_them) {
    const Pair terminal = make_terminal();
    use_as_stderr(terminal);
    ::setenv("NO_COLOR", "", 1);  // means nothing: no-color.org
    EXPECT_EQ(log_layout(LogFormat::Auto, STDERR_FILENO), LogLayout::ColouredTerminal);
    ::setenv("NO_COLOR", "1", 1);
    EXPECT_EQ(log_layout(LogFormat::Auto, STDERR_FILENO), LogLayout::Terminal);
    EXPECT_EQ(log_layout(LogFormat::Text, STDERR_FILENO), LogLayout::Terminal);
    EXPECT_EQ(log_layout(LogFormat::Json, STDERR_FILENO), LogLayout::Json);
    ::unsetenv("NO_COLOR");
    ::setenv("TERM", "dumb", 1);
    EXPECT_EQ(log_layout(LogFormat::Auto, STDERR_FILENO), LogLayout::Terminal);
}

TEST_F(Log, is_text_behind_a_pipe_only_where_somebody_looks_on) {
    const Pair pipe = make_pipe();
    const Pair terminal = make_terminal();
    const UniqueFd file{check(::open(path("log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "open")};
    EXPECT_EQ(log_layout(LogFormat::Auto, pipe.near.get()), LogLayout::Json);
    const pid_t child = check(::fork(), "fork");
    if (child == 0) {
        const bool taken = ::setsid() != -1 && ::ioctl(terminal.near.get(), TIOCSCTTY, 0) == 0;
        const bool right = log_layout(LogFormat::Auto, pipe.near.get()) == LogLayout::Terminal &&
                           log_layout(LogFormat::Text, pipe.near.get()) == LogLayout::Text &&
                           log_layout(LogFormat::Json, pipe.near.get()) == LogLayout::Json &&
                           log_layout(LogFormat::Auto, file.get()) == LogLayout::Json;
        ::_exit(taken && right ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_F(Log, prints_its_level_and_what_is_worse) {
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({.level = LogLevel::Warning, .format = LogFormat::Text});
    EXPECT_TRUE(log_enabled(LogLevel::Warning));
    EXPECT_FALSE(log_enabled(LogLevel::Notice));
    errno = EDOM;
    log(LogLevel::Notice, "quiet");
    log(LogLevel::Error, "loud");
    EXPECT_EQ(errno, EDOM);
    EXPECT_THAT(drain(pipe.far.get()), MatchesRegex("[^\n]* error   loud\n"));
}

TEST_F(Log, notes_the_last_error_as_it_is_printed) {
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({});
    static ErrorNote note;  // borrowed for good
    note_errors_in(note);
    log(LogLevel::Error, "handler failed: {cause}", {{"peer", "127.0.0.1:1"}, {"cause", "out of luck"}});
    log(LogLevel::Warning, "no error");
    EXPECT_EQ(note.read(), "handler failed: out of luck");
    log(LogLevel::Error, std::string(5000, 'x'));
    EXPECT_EQ(note.read().find_first_not_of('x'), std::string::npos);
}

TEST_F(Log, lines_of_eight_processes_never_mix) {
    constexpr std::uint64_t lines_each = 100;
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({});
    auto [held, lifeline] = make_pipe();
    std::vector<pid_t> children;
    for (int number = 1; number <= 8; ++number) {
        const pid_t child = check(::fork(), "fork");
        if (child == 0) {
            set_log_worker(number);
            const std::string body(static_cast<std::size_t>(number) * 499, static_cast<char>('0' + number));
            for (std::uint64_t n = 0; n - dropped_log_lines() < lines_each; ++n) log(LogLevel::Info, body);
            ::_exit(0);
        }
        children.push_back(child);
    }
    held = UniqueFd{};
    std::string all;
    std::array<::pollfd, 2> ready{::pollfd{.fd = pipe.far.get(), .events = POLLIN, .revents = 0},
                                  ::pollfd{.fd = lifeline.get(), .events = 0, .revents = 0}};
    while ((ready[1].revents & POLLHUP) == 0) {
        ::poll(ready.data(), ready.size(), -1);
        all += drain(pipe.far.get());
    }
    all += drain(pipe.far.get());
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    std::map<char, std::uint64_t> whole;
    for (const std::string& line : lines_of(all)) {
        if (line.find(" log lines dropped") != line.npos) continue;
        constexpr std::string_view key = "\"message\":\"";
        const std::string message = line.substr(line.find(key) + key.size());
        const auto number = static_cast<std::size_t>(message[0] - '0');
        EXPECT_EQ(message, std::string(number * 499, message[0]) + "\"}");
        EXPECT_THAT(line,
                    HasSubstr(",\"pid\":" + std::to_string(children.at(number - 1)) + ",\"worker\":" + message[0]));
        ++whole[message[0]];
    }
    for (char number = '1'; number <= '8'; ++number) EXPECT_EQ(whole[number], lines_each);
}

TEST_F(Log, a_child_writes_its_own_process_id_and_reports_its_own_losses) {
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({});
    log_until_lost(5);
    drain(pipe.far.get());
    const pid_t child = check(::fork(), "fork");
    if (child == 0) {
        log(LogLevel::Info, "child");
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_THAT(drain(pipe.far.get()), MatchesRegex("[^\n]*\"pid\":" + std::to_string(child) + ",[^\n]*child\"\\}\n"));
}

TEST_F(Log, a_file_is_reopened_after_it_was_renamed) {
    const LogSettings settings{.format = LogFormat::Text, .file = path("log")};
    open_log(settings);
    const int number = log_fd();
    const std::size_t descriptors = open_descriptors();
    log(LogLevel::Info, "one");
    std::filesystem::rename(path("log"), path("old"));
    log(LogLevel::Info, "two");
    open_log(settings);
    log(LogLevel::Info, "three");
    EXPECT_EQ(log_fd(), number);
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_THAT(content_of(path("old")), MatchesRegex("[^\n]*one\n[^\n]*two\n"));
    EXPECT_THAT(content_of(path("log")), MatchesRegex("[^\n]*three\n"));
    struct ::stat status {};
    check(::stat(path("log").c_str(), &status), "stat");
    EXPECT_EQ(status.st_mode & 0777 & ~0640U, 0);
}

TEST_F(Log, another_output_can_be_taken_over) {
    open_log({.file = path("log")});
    UniqueFd reopened{check(::open(path("new").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0640), "open")};
    const int number = log_fd();
    adopt_log_fd(reopened.release());
    log(LogLevel::Info, "adopted");
    EXPECT_EQ(log_fd(), number);
    EXPECT_NE(::fcntl(number, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_THAT(content_of(path("new")), AllOf(StartsWith("{"), HasSubstr("adopted")));
    EXPECT_EQ(content_of(path("log")), "");
}

TEST_F(Log, threads_lose_no_line_while_the_file_is_reopened) {
    constexpr int reopenings = 100;
    const std::uint64_t before = dropped_log_lines();
    LogSettings settings{.file = path("0")};
    open_log(settings);
    std::atomic<bool> done{false};
    std::atomic<std::size_t> logged{0};
    std::vector<std::jthread> threads;
    for (int each = 0; each < 2; ++each) {
        threads.emplace_back([&] {
            for (; !done; ++logged) log(LogLevel::Info, "line");
        });
    }
    for (int each = 1; each <= reopenings; ++each) {
        settings.file = path(std::to_string(each).c_str());
        open_log(settings);
    }
    done = true;
    threads.clear();
    std::size_t found = 0;
    for (int each = 0; each <= reopenings; ++each) {
        found += lines_of(content_of(path(std::to_string(each).c_str()))).size();
    }
    EXPECT_EQ(found, logged);
    EXPECT_EQ(dropped_log_lines(), before);
}

TEST_F(Log, a_file_that_cannot_be_opened_is_a_sentence_and_the_old_output_stays) {
    open_log({.format = LogFormat::Text, .file = path("log")});
    try {
        open_log({.file = path("missing/log")});
        ADD_FAILURE() << "no error";
    } catch (const OperatorError& error) {
        EXPECT_EQ(error.code(), ExitCode::Configuration);
        EXPECT_THAT(error.what(), AllOf(StartsWith("--log-file "), HasSubstr("No such file or directory")));
    }
    EXPECT_THROW(open_log({.format = LogFormat::Journal, .file = path("log")}), OperatorError);
    EXPECT_THROW(open_log({.format = LogFormat::Journal}, path("no-journal")), OperatorError);
    log(LogLevel::Info, "still");
    EXPECT_THAT(content_of(path("log")), HasSubstr("info    still\n"));
}

}  // namespace
}  // namespace preforkd
