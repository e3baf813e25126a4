#include "common/process/child_call.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "common/base/operator_error.hpp"
#include "tests/process/child_report.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::string hang(const ChildCall::Attempt& attempt) {
    attempt("--config /gone");
    for (;;) ::pause();
}

TEST(ChildCall, what_the_function_returns_comes_back_whole) {
    const std::string long_text(1 << 20, 'x');
    for (const std::string& text : {std::string{}, std::string{"one\0two", 7}, long_text}) {
        ChildCall call{[&](const ChildCall::Attempt& attempt) {
                           attempt("something");
                           return text;
                       },
                       30s};
        ASSERT_TRUE(call.wait());
        EXPECT_TRUE(call.answered());
        EXPECT_EQ(call.result(), text);
    }
}

TEST(ChildCall, what_is_not_to_be_trusted_takes_no_more_memory_than_an_answer_may) {
    const UniqueFd file = make_bounded_file("test", 4096);
    EXPECT_EQ(::pwrite(file.get(), "x", 1, 4096), -1);
    EXPECT_EQ(::ftruncate(file.get(), 8192), -1);
    EXPECT_EQ(::ftruncate(file.get(), 0), -1);
    EXPECT_EQ(::pwrite(file.get(), "x", 1, 4095), 1);
    ChildCall call{[&](const ChildCall::Attempt&) { return std::string(std::size_t{3} << 20, 'x'); }, 30s};
    ASSERT_TRUE(call.wait());
    EXPECT_ANY_THROW((void)call.result());
}

TEST(ChildCall, a_sentence_is_cut_before_anybody_repeats_it) {
    ChildCall call{
        [&](const ChildCall::Attempt&) -> std::string { throw std::runtime_error{std::string(1 << 20, '\x1b')}; }, 30s};
    ASSERT_TRUE(call.wait());
    EXPECT_THAT([&] { (void)call.result(); }, ThrowsMessage<std::runtime_error>(std::string(4096, '\x1b')));
}

TEST(ChildCall, what_it_throws_comes_back_with_its_exit_code) {
    for (const ExitCode code : {ExitCode::Usage, ExitCode::Permission, ExitCode::Configuration}) {
        ChildCall call{[&](const ChildCall::Attempt&) -> std::string { throw OperatorError{code, "mend it"}; }, 30s};
        ASSERT_TRUE(call.wait());
        try {
            (void)call.result();
            ADD_FAILURE() << "returned";
        } catch (const OperatorError& error) {
            EXPECT_EQ(error.code(), code);
            EXPECT_STREQ(error.what(), "mend it");
        }
    }
    ChildCall other{[](const ChildCall::Attempt&) -> std::string { throw std::runtime_error{"a sentence"}; }, 30s};
    ASSERT_TRUE(other.wait());
    EXPECT_THAT([&] { (void)other.result(); }, ThrowsMessage<std::runtime_error>("a sentence"));
    ChildCall system{[](const ChildCall::Attempt&) -> std::string {
                         throw std::system_error{EMFILE, std::generic_category(), "open it"};
                     },
                     30s};
    ASSERT_TRUE(system.wait());
    EXPECT_THAT([&] { (void)system.result(); },
                ThrowsMessage<OperatorError>(AllOf(HasSubstr("open it"), HasSubstr("RLIMIT_NOFILE"))));
}

TEST(ChildCall, one_that_does_not_return_is_over_at_its_time_and_names_what_it_tried) {
    ChildCall call{hang, 50ms};
    EXPECT_TRUE(call.deadline());
    ASSERT_TRUE(call.wait());
    EXPECT_TRUE(call.given_up());
    EXPECT_FALSE(call.answered());
    EXPECT_FALSE(call.deadline());
    EXPECT_THAT([&] { (void)call.result(); },
                ThrowsMessage<OperatorError>(AllOf(HasSubstr("--config /gone"), HasSubstr("--boot-timeout 50ms"))));
}

TEST(ChildCall, who_waits_can_be_interrupted_and_wait_on) {
    const testing::Pipe pipe = testing::make_pipe();
    ChildCall call{hang, 0ms};
    ASSERT_EQ(::write(pipe.writer.get(), "x", 1), 1);
    EXPECT_FALSE(call.wait(pipe.reader.get()));
    EXPECT_FALSE(call.over());
    EXPECT_FALSE(call.deadline()) << "for ever";
    call.give_up();
    EXPECT_TRUE(call.wait(pipe.reader.get()));
}

TEST(ChildCall, one_that_dies_has_not_answered) {
    ChildCall call{[](const ChildCall::Attempt& attempt) -> std::string {
                       attempt("--chdir /x");
                       ::_exit(0);
                   },
                   30s};
    ASSERT_TRUE(call.wait());
    EXPECT_FALSE(call.answered());
    EXPECT_THAT([&] { (void)call.result(); },
                ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("--chdir /x"), HasSubstr("exited with code 0"))));
}

TEST(ChildCall, it_holds_no_descriptor_of_its_parent) {
    const testing::Pipe pipe = testing::make_pipe();
    ChildCall call{[&](const ChildCall::Attempt&) {
                       return std::string{::fcntl(pipe.writer.get(), F_GETFD) == -1 ? "closed" : "open"};
                   },
                   30s};
    ASSERT_TRUE(call.wait());
    EXPECT_EQ(call.result(), "closed");
}

}  // namespace
}  // namespace preforkd
