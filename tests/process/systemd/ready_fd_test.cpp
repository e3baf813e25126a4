#include "common/systemd/ready_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "common/base/operator_error.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

std::vector<Listener> two_listeners() {
    std::vector<Listener> listeners(2);
    listeners[0].local = parse_endpoint("tcp://127.0.0.1:80");
    listeners[1].local = parse_endpoint("unix:///run/x");
    return listeners;
}

TEST(ReadyFd, none_is_asked_for_and_none_is_taken) {
    EXPECT_FALSE(take_ready_fd(std::nullopt));
    announce_ready({}, two_listeners());
}

TEST(ReadyFd, one_that_is_not_open_is_a_usage_error_that_says_how_to_pass_it) {
    try {
        (void)take_ready_fd(987);
        FAIL() << "987 is not open";
    } catch (const OperatorError& error) {
        EXPECT_EQ(error.code(), ExitCode::Usage);
        EXPECT_NE(std::string{error.what()}.find("--ready-fd 987"), std::string::npos) << error.what();
    }
}

TEST(ReadyFd, the_one_we_take_is_no_longer_passed_on) {
    testing::Pipe pipe = testing::make_pipe();
    ::fcntl(pipe.writer.get(), F_SETFD, 0);
    const UniqueFd taken = take_ready_fd(pipe.writer.release());
    EXPECT_NE(::fcntl(taken.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ReadyFd, standard_output_is_not_left_for_the_next_descriptor_to_take) {
    EXPECT_EQ(testing::in_child([] {
                  testing::Pipe pipe = testing::make_pipe();
                  ::dup2(pipe.writer.get(), STDOUT_FILENO);
                  pipe.writer = {};
                  announce_ready(take_ready_fd(STDOUT_FILENO), two_listeners());
                  const UniqueFd next{::open("/dev/null", O_RDONLY)};
                  const bool told = !testing::read_to_end(pipe.reader.get()).empty();
                  return std::string{told && next.get() > STDERR_FILENO ? "above 2" : "taken"};
              }),
              "above 2");
}

TEST(ReadyFd, the_endpoints_are_written_one_a_line_and_then_the_end) {
    testing::Pipe pipe = testing::make_pipe();
    announce_ready(take_ready_fd(pipe.writer.release()), two_listeners());
    EXPECT_EQ(testing::read_to_end(pipe.reader.get()), "tcp://127.0.0.1:80\nunix:///run/x\n");
}

TEST(ReadyFd, a_reader_that_has_gone_is_no_error) {
    EXPECT_EQ(testing::in_child([] {
                  ::signal(SIGPIPE, SIG_IGN);  // as the daemon has it
                  testing::Pipe pipe = testing::make_pipe();
                  pipe.reader = {};
                  announce_ready(std::move(pipe.writer), two_listeners());
                  return std::string{"alive"};
              }),
              "alive");
}

TEST(ReadyFd, a_full_pipe_that_nobody_reads_stops_nobody) {
    const std::string report = testing::in_child([] {
        const testing::Pipe log = testing::make_pipe();
        check(::dup2(log.writer.get(), STDERR_FILENO), "dup2");
        testing::log_to_standard_error();
        testing::Pipe pipe = testing::make_pipe();
        check(::fcntl(pipe.writer.get(), F_SETFL, O_NONBLOCK), "fcntl");
        while (::write(pipe.writer.get(), "x", 1) == 1) {}
        check(::fcntl(pipe.writer.get(), F_SETFL, 0), "fcntl");
        ::alarm(5);
        announce_ready(std::move(pipe.writer), two_listeners());
        check(::fcntl(log.reader.get(), F_SETFL, O_NONBLOCK), "fcntl");
        return testing::read_to_end(log.reader.get());
    });
    EXPECT_NE(report.find("--ready-fd is full and nobody reads it"), std::string::npos) << report;
}

TEST(ReadyFd, what_cannot_be_written_is_told_and_is_no_reason_to_end) {
    const std::string report = testing::in_child([] {
        const testing::Pipe log = testing::make_pipe();
        check(::dup2(log.writer.get(), STDERR_FILENO), "dup2");
        testing::log_to_standard_error();
        announce_ready(UniqueFd{check(::open("/dev/full", O_WRONLY | O_CLOEXEC), "open /dev/full")}, two_listeners());
        check(::fcntl(log.reader.get(), F_SETFL, O_NONBLOCK), "fcntl");
        return testing::read_to_end(log.reader.get());
    });
    EXPECT_NE(report.find("--ready-fd could not be written: No space left on device"), std::string::npos) << report;
}

}  // namespace
}  // namespace preforkd
