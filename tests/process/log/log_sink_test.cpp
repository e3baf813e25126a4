// Nobody who fails to read the log stops anybody, and no reader's descriptor is changed.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>

#include <memory>

#include "common/log/log_sink.hpp"
#include "tests/process/log_fixture.hpp"

namespace preforkd {
namespace {

using namespace log_test;
using namespace std::string_literals;
using namespace std::string_view_literals;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

using LogSink = Log;

TEST_F(LogSink, a_pipe_that_nobody_reads_stops_nobody_and_every_lost_line_is_counted) {
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({.format = LogFormat::Text});
    EXPECT_EQ(::fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0) << "the shared description must stay as it was";
    const std::uint64_t before = dropped_log_lines();
    const std::uint64_t logged = log_until_lost(100);
    EXPECT_EQ(dropped_log_lines() - before, 100);
    EXPECT_EQ(lines_of(drain(pipe.far.get())).size(), logged - 100);

    log(LogLevel::Info, "after");
    const auto lines = lines_of(drain(pipe.far.get()));
    ASSERT_EQ(lines.size(), 2);
    EXPECT_THAT(lines[0], EndsWith(" warning 100 log lines dropped: nobody read them"));
    EXPECT_THAT(lines[1], EndsWith(" info    after"));
}

TEST_F(LogSink, a_full_disk_is_told_once_where_it_can_be_told_and_again_where_the_lines_are_missing) {
    const Pair pipe = make_pipe();
    use_as_stderr(pipe);
    open_log({.format = LogFormat::Text, .file = "/dev/full"});
    for (int n = 0; n < 3; ++n) log(LogLevel::Info, "lost");
    EXPECT_THAT(
        lines_of(drain(pipe.far.get())),
        ElementsAre(EndsWith(" error   --log-file: the disk is full; lines are dropped until that has changed")));
    open_log({.format = LogFormat::Text});
    log(LogLevel::Info, "after");
    EXPECT_THAT(lines_of(drain(pipe.far.get())),
                ElementsAre(EndsWith(" warning 3 log lines dropped: the disk is full"), EndsWith(" info    after")));
}

TEST_F(LogSink, what_is_wrong_with_the_disk_is_told_from_a_reader_who_does_not_read) {
    EXPECT_EQ(disk_trouble(EFBIG), "the file has reached its size limit");
    EXPECT_EQ(disk_trouble(EDQUOT), "the disk quota is used up");
    for (const int error : {EAGAIN, EPIPE, ENOBUFS, ECONNREFUSED}) EXPECT_EQ(disk_trouble(error), "");
}

TEST_F(LogSink, a_blocking_pipe_that_could_not_be_opened_again_stops_nobody_either) {
    Pair pipe = make_pipe();
    open_log({.format = LogFormat::Text});
    adopt_log_fd(pipe.near.release());
    EXPECT_EQ(::fcntl(log_fd(), F_GETFL) & O_NONBLOCK, 0);
    const std::uint64_t logged = log_until_lost(100);
    EXPECT_EQ(lines_of(drain(pipe.far.get())).size(), logged - 100);
}

TEST_F(LogSink, a_socket_that_nobody_reads_stops_nobody) {
    Pair sockets = make_sockets();
    use_as_stderr(sockets);
    open_log({.format = LogFormat::Text});
    const std::uint64_t logged = log_until_lost(100);
    EXPECT_EQ(lines_of(drain(sockets.far.get())).size(), logged - 100);
    log(LogLevel::Info, "after");
    EXPECT_THAT(drain(sockets.far.get()), HasSubstr(" 100 log lines dropped"));
    sockets.far = UniqueFd{};  // SIGPIPE would end the test here
    EXPECT_EQ(log_until_lost(3), 3);
}

/// Reads and logs until a line comes through; returns what was read.
std::string log_until_read(int fd) {
    std::string seen;
    for (::pollfd ready{.fd = fd, .events = POLLIN, .revents = 0}; seen.find("after") == seen.npos;) {
        log(LogLevel::Info, "after");
        ::poll(&ready, 1, -1);
        seen += drain(fd);
    }
    return seen;
}

TEST_F(LogSink, a_stopped_terminal_stops_nobody) {
    if (!has_terminals()) GTEST_SKIP() << no_terminals;
    const Pair terminal = make_terminal();
    use_as_stderr(terminal);
    open_log({});
    EXPECT_EQ(::fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
    check(::tcflow(terminal.near.get(), TCOOFF), "tcflow");
    EXPECT_EQ(log_until_lost(5), 5);
    check(::tcflow(terminal.near.get(), TCOON), "tcflow");
    EXPECT_THAT(log_until_read(terminal.far.get()), HasSubstr(" 5 log lines dropped: nobody read them\n"));
}

TEST_F(LogSink, a_terminal_of_another_user_that_nobody_reads_stops_nobody) {
    if (!has_terminals()) GTEST_SKIP() << no_terminals;
    Pair terminal = make_terminal();
    open_log({.format = LogFormat::Text});
    adopt_log_fd(terminal.near.release());  // blocking, as if it could not be opened again
    log_until_lost(5);
    EXPECT_THAT(log_until_read(terminal.far.get()), HasSubstr(" log lines dropped: nobody read them\n"));
}

TEST_F(LogSink, a_terminal_that_took_half_a_line_gets_the_next_one_on_a_line_of_its_own) {
    if (!has_terminals()) GTEST_SKIP() << no_terminals;
    ::setenv("NO_COLOR", "1", 1);
    const Pair terminal = make_terminal();
    use_as_stderr(terminal);
    open_log({});
    const std::string body(3950, 'x');
    for (const std::uint64_t before = dropped_log_lines(); dropped_log_lines() == before;) log(LogLevel::Info, body);
    const std::string seen = log_until_read(terminal.far.get());
    std::size_t torn = 0;
    for (const std::string& line : lines_of(seen)) {
        EXPECT_THAT(line, MatchesRegex("....-..-..T..:..:......Z (info|warning) +[^Z]*"));
        if (line.ends_with('x') && !line.ends_with(body)) ++torn;
    }
    EXPECT_THAT(seen, HasSubstr(" log lines dropped: nobody read them\n"));
    if (torn == 0) GTEST_SKIP() << "this kernel took whole lines only";
}

TEST_F(LogSink, a_regular_file_behind_standard_error_keeps_its_offset) {
    Pair file{.near = UniqueFd{check(::open(path("log").c_str(), O_WRONLY | O_CREAT, 0600), "open")}, .far = {}};
    use_as_stderr(file);
    open_log({.format = LogFormat::Text});
    ASSERT_EQ(::write(STDERR_FILENO, "other\n", 6), 6);
    log(LogLevel::Info, "ours");
    EXPECT_THAT(content_of(path("log")), MatchesRegex("other\n[^\n]* ours\n"));
}

TEST_F(LogSink, a_fifo_needs_its_reader_first) {
    check(::mkfifo(path("fifo").c_str(), 0600), "mkfifo");
    EXPECT_THROW(open_log({.file = path("fifo")}), OperatorError);
    const UniqueFd reader{check(::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC), "open")};
    open_log({.file = path("fifo")});
    log(LogLevel::Info, "hello");
    EXPECT_THAT(drain(reader.get()), HasSubstr("hello"));
}

TEST_F(LogSink, speaks_to_the_journal_when_standard_error_is_its_stream) {
    const Journal journal{path("journal")};
    const Pair stream = make_sockets();
    use_as_stderr(stream);
    struct ::stat status {};
    check(::fstat(STDERR_FILENO, &status), "fstat");
    ::setenv("JOURNAL_STREAM", (std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino)).c_str(), 1);
    open_log({}, path("journal"));
    set_log_worker(2);
    log(LogLevel::Warning, "hello\n", {{"peer", "127.0.0.1:80"sv}, {"stack", "a\nb"sv}});
    EXPECT_EQ(journal.receive(),
              "PRIORITY=4\nSYSLOG_IDENTIFIER=preforkd\nPREFORKD_WORKER=2\nMESSAGE=hello\\n\n"
              "PREFORKD_PEER=127.0.0.1:80\nPREFORKD_STACK\n\3\0\0\0\0\0\0\0a\nb\n"s);
    EXPECT_EQ(drain(stream.far.get()), "");
}

TEST_F(LogSink, falls_to_json_when_the_journal_stream_is_not_standard_error) {
    const Journal journal{path("journal")};
    struct ::stat status {};
    for (const char* elsewhere : {"1:2", "", ":", "12", "99999999999999999999:1", "DEVICE:", "DEVICE:INODEx"}) {
        const Pair pipe = make_pipe();
        use_as_stderr(pipe);
        check(::fstat(STDERR_FILENO, &status), "fstat");
        std::string variable{elsewhere};
        if (variable.starts_with("DEVICE")) variable.replace(0, 6, std::to_string(status.st_dev));
        if (const auto at = variable.find("INODE"); at != variable.npos) {
            variable.replace(at, 5, std::to_string(status.st_ino));
        }
        ::setenv("JOURNAL_STREAM", variable.c_str(), 1);
        open_log({}, path("journal"));
        log(LogLevel::Info, "hello");
        EXPECT_THAT(drain(pipe.far.get()), StartsWith("{\"time\"")) << variable;
        EXPECT_EQ(journal.receive(), "") << variable;
    }
}

TEST_F(LogSink, a_journal_that_does_not_read_stops_nobody) {
    const Journal journal{path("journal")};
    open_log({.format = LogFormat::Journal}, path("journal"));
    const std::uint64_t logged = log_until_lost(100);
    std::uint64_t received = 0;
    while (!journal.receive().empty()) ++received;
    EXPECT_EQ(received, logged - 100);
    log(LogLevel::Info, "after");
    EXPECT_THAT(journal.receive(), HasSubstr("\nMESSAGE=100 log lines dropped: nobody read them\n"));
    EXPECT_THAT(journal.receive(), HasSubstr("\nMESSAGE=after\n"));
}

TEST_F(LogSink, finds_a_journal_that_was_restarted) {
    auto first = std::make_unique<Journal>(path("journal"));
    open_log({.format = LogFormat::Journal}, path("journal"));
    first.reset();
    log(LogLevel::Info, "lost");
    std::filesystem::remove(path("journal"));
    const Journal second{path("journal")};
    log(LogLevel::Info, "found");
    EXPECT_THAT(second.receive(), HasSubstr("\nMESSAGE=1 log lines dropped"));
    EXPECT_THAT(second.receive(), HasSubstr("\nMESSAGE=found\n"));
}

}  // namespace
}  // namespace preforkd
