#include "daemon/worker/program/stderr_lines.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "daemon/worker/loop/epoll_reactor.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using Lines = std::vector<std::string>;

/// A program's standard error, and the reactor of the worker that reads it.
struct Program {
    Program() { check(::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK), "fcntl"); }

    void says(std::string_view text) const {
        ASSERT_EQ(::write(pipe.writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    void ends() { pipe.writer = {}; }
    StderrLines reader(int lines_wanted) {
        return {reactor, std::move(pipe.reader), [this, lines_wanted](std::string_view line) {
                    lines.emplace_back(line);
                    if (std::ssize(lines) == lines_wanted) reactor.stop();
                }};
    }

    EpollReactor reactor{};
    testing::Pipe pipe = testing::make_pipe();
    Lines lines{};
};

TEST(StderrLines, each_line_is_given_when_it_is_complete) {
    Program program;
    const StderrLines reader = program.reader(2);
    program.says("one\ntwo\nthr");
    program.reactor.run();
    EXPECT_EQ(program.lines, (Lines{"one", "two"}));
}

TEST(StderrLines, finishing_gives_a_line_that_never_ended) {
    Program program;
    StderrLines reader = program.reader(-1);
    program.says("be");
    reader.finish();
    EXPECT_EQ(program.lines, (Lines{"be"}));
}

TEST(StderrLines, the_last_line_needs_no_end) {
    Program program;
    const StderrLines reader = program.reader(2);
    program.says("one\nunfinished");
    program.ends();
    program.reactor.run();
    EXPECT_EQ(program.lines, (Lines{"one", "unfinished"}));
}

TEST(StderrLines, finishing_takes_what_is_there_though_somebody_still_holds_the_other_end) {
    Program program;
    StderrLines reader = program.reader(-1);
    for (int line = 0; line < 1000; ++line) program.says("a line\n");
    program.says("end");
    reader.finish();
    EXPECT_EQ(program.lines.size(), 1001U);
    EXPECT_EQ(program.lines.back(), "end");
    EXPECT_EQ(::fcntl(program.pipe.writer.get(), F_GETFD), FD_CLOEXEC);
}

TEST(StderrLines, empty_lines_and_carriage_returns_are_left_out) {
    Program program;
    StderrLines reader = program.reader(-1);
    program.says("\n\none\r\n\r\ntwo\n");
    reader.finish();
    EXPECT_EQ(program.lines, (Lines{"one", "two"}));
}

TEST(StderrLines, a_line_beyond_the_limit_comes_in_pieces_and_nothing_is_lost) {
    Program program;
    StderrLines reader = program.reader(-1);
    const std::string line(2 * StderrLines::limit_bytes + 10, 'x');
    program.says(line + "\nnext\n");
    reader.finish();
    ASSERT_EQ(program.lines.size(), 4U);
    EXPECT_EQ(program.lines[0] + program.lines[1] + program.lines[2], line);
    EXPECT_EQ(program.lines[3], "next");
}

TEST(StderrLines, a_line_as_long_as_the_limit_is_followed_by_no_empty_one) {
    Program program;
    StderrLines reader = program.reader(-1);
    program.says(std::string(StderrLines::limit_bytes, 'x') + "\nnext\n");
    reader.finish();
    EXPECT_EQ(program.lines, (Lines{std::string(StderrLines::limit_bytes, 'x'), "next"}));
}

}  // namespace
}  // namespace preforkd
