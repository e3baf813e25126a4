#include "common/log/standard_output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>

#include "common/log/log_output.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::in_child;
using Left = PrintedLines::Left;

/// What is in the log after `act(lines, writer)`, without what is before the sentences.
std::string logged(const std::function<void(PrintedLines&, UniqueFd&)>& act, int worker = 0) {
    return in_child([&] {
        testing::Pipe log = testing::make_pipe();
        ::fcntl(log.writer.get(), F_SETPIPE_SZ, 1 << 20);
        const UniqueFd given{::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100)};
        const UniqueFd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
        ::dup2(null.get(), STDOUT_FILENO);  // no terminal
        ::dup2(log.writer.get(), STDERR_FILENO);
        testing::log_to_standard_error();
        OutputPipe pipe = open_output_pipe();
        PrintedLines lines{std::move(pipe.reader), worker};
        act(lines, pipe.writer);
        ::close(log_fd());
        ::dup2(null.get(), STDERR_FILENO);
        log.writer = {};
        std::string text = testing::read_to_end(log.reader.get());
        std::string sentences;
        for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
            const std::string whole = text.substr(begin, end - begin);
            const std::size_t number_at = std::min(whole.rfind(" worker="), whole.size());
            const std::string line = whole.substr(0, whole.find(" text=")) + whole.substr(number_at);
            sentences += line.substr(std::min(line.find("stdout: "), line.size())) + "|";
        }
        return sentences;
    });
}

void print(const UniqueFd& writer, std::string_view text) { (void)!::write(writer.get(), text.data(), text.size()); }

/// log_lines(), with what it says among the lines.
void read_lines(PrintedLines& lines) {
    switch (lines.log_lines()) {
        case Left::Nothing: return log(LogLevel::Info, "stdout: (nothing)");
        case Left::More: return log(LogLevel::Info, "stdout: (more)");
        case Left::Unfinished: return log(LogLevel::Info, "stdout: (unfinished)");
        case Left::Ended: return log(LogLevel::Info, "stdout: (ended)");
    }
}

TEST(PrintedLines, each_line_is_a_line_of_the_log_without_its_end) {
    EXPECT_EQ(logged([](PrintedLines& lines, UniqueFd& writer) {
                  print(writer, "one\ntwo words\r\n\nthree\n");
                  read_lines(lines);
                  read_lines(lines);
              }),
              "stdout: one|stdout: two words|stdout: three|stdout: (more)|stdout: (nothing)|");
}

TEST(PrintedLines, a_line_without_its_end_stays_in_the_pipe_until_that_comes) {
    EXPECT_EQ(logged([](PrintedLines& lines, UniqueFd& writer) {
                  print(writer, "whole\nbeg");
                  read_lines(lines);
                  read_lines(lines);
                  print(writer, "un\n");
                  read_lines(lines);
              }),
              "stdout: whole|stdout: (more)|stdout: (unfinished)|stdout: begun|stdout: (more)|");
}

TEST(PrintedLines, the_rest_is_everything) {
    EXPECT_EQ(logged([](PrintedLines& lines, UniqueFd& writer) {
                  print(writer, "whole\nbegun");
                  writer = {};
                  lines.log_rest();
                  read_lines(lines);
              }),
              "stdout: whole|stdout: begun|stdout: (ended)|");
}

TEST(PrintedLines, a_line_that_is_too_long_comes_in_pieces) {
    const std::string longest(PrintedLines::limit_bytes, 'x');
    const std::string wanted = "stdout: " + longest + "|stdout: " + longest + "|stdout: end|";
    EXPECT_EQ(logged([&](PrintedLines& lines, UniqueFd& writer) {
                  print(writer, longest + longest + "end\n");
                  while (lines.log_lines() == Left::More) {}
              }),
              wanted);
    EXPECT_EQ(logged([&](PrintedLines& lines, UniqueFd& writer) {
                  print(writer, longest + longest + "end");
                  lines.log_rest();
              }),
              wanted);
}

TEST(PrintedLines, nothing_that_is_printed_forges_a_line) {
    const std::string text = logged(
        [](PrintedLines& lines, UniqueFd& writer) {
            print(writer, "\x1b[2J\r2026-11-22T16:02:11.123Z error   forged \xff\n");
            lines.log_rest();
        },
        7);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_TRUE(text.starts_with("stdout: \\x1b[2J\\r2026")) << text;
    EXPECT_TRUE(text.ends_with("worker=7|")) << text;
}

TEST(PrintedLines, who_prints_without_end_does_not_keep_the_reader) {
    EXPECT_NE(logged([](PrintedLines& lines, UniqueFd& writer) {
                  const ChildProcess flood = spawn([&] {
                      for (;;) (void)!::write(writer.get(), "again\n", 6);
                      return 0;
                  });
                  if (testing::comes(lines.fd())) lines.log_rest();  // returns
                  flood.signal(SIGKILL);
              }),
              "");
}

TEST(StandardOutput, what_is_printed_leaves_with_the_end_of_its_line_and_the_rest_when_flushed) {
    EXPECT_EQ(
        in_child([] {
            testing::Pipe pipe = testing::make_pipe();
            ::dup2(pipe.writer.get(), STDOUT_FILENO);
            line_buffer_standard_output();
            std::cout << "line\nbegun";
            std::array<char, 100> text{};
            std::string printed(text.data(), static_cast<std::size_t>(::read(pipe.reader.get(), text.data(), 100)));
            if (!flush_standard_output()) return std::string{"not flushed"};
            return printed + "|" +
                   std::string(text.data(), static_cast<std::size_t>(::read(pipe.reader.get(), text.data(), 100)));
        }),
        "line\n|begun");
}

}  // namespace
}  // namespace preforkd
