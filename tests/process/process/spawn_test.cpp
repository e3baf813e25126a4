#include "common/process/spawn.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::end_of;
using testing::exited;

TEST(Spawn, the_bodys_result_is_the_exit_code) {
    for (const int code : {0, 1, 69, 255}) EXPECT_EQ(end_of(spawn([&] { return code; })), exited(code));
}

TEST(Spawn, the_child_never_returns_into_the_callers_stack) {
    testing::Pipe pipe = testing::make_pipe();
    const auto say = [&](char who) { return ::write(pipe.writer.get(), &who, 1) == 1 ? 0 : 1; };
    struct Farewell {
        const decltype(say)& said_by;
        ~Farewell() { said_by('~'); }
    };
    {
        const Farewell farewell{say};
        const ChildProcess child = spawn([&] { return say('c'); });
        EXPECT_EQ(end_of(child), testing::success);
        say('p');
    }
    pipe.writer = {};
    EXPECT_EQ(testing::read_to_end(pipe.reader.get()), "cp~");
}

TEST(Spawn, the_parents_exit_handlers_and_buffers_are_not_the_childs) {
    testing::Pipe pipe = testing::make_pipe();
    const ChildProcess parent = spawn([&] {
        static int out = pipe.writer.get();
        ::dup2(out, STDOUT_FILENO);
        std::atexit([] { (void)!::write(out, "!", 1); });
        std::fputs("once", stdout);  // buffered: standard output is a pipe
        const ChildProcess child = spawn([] { return 0; });
        const bool fine = end_of(child) == testing::success;
        std::fflush(stdout);
        return fine ? 0 : 1;
    });
    EXPECT_EQ(end_of(parent), testing::success);
    pipe.writer = {};
    EXPECT_EQ(testing::read_to_end(pipe.reader.get()), "once");
}

TEST(Spawn, an_exception_is_said_on_standard_error_and_ends_the_child_with_70) {
    testing::Pipe pipe = testing::make_pipe();
    const ChildProcess child = spawn([&]() -> int {
        ::dup2(pipe.writer.get(), STDERR_FILENO);
        throw std::runtime_error{"no handler today"};
    });
    pipe.writer = {};
    EXPECT_NE(testing::read_to_end(pipe.reader.get()).find("no handler today"), std::string::npos);
    EXPECT_EQ(end_of(child), exited(70));
}

TEST(Spawn, whatever_else_is_thrown_ends_the_child_with_70) {
    EXPECT_EQ(end_of(spawn([]() -> int { throw 42; })), exited(70));
}

TEST(Spawn, without_a_descriptor_for_its_handle_no_child_is_left_behind) {
    EXPECT_EQ(testing::in_child([]() -> std::string {
                  try {
                      const testing::FewDescriptors none{0};
                      (void)spawn([] {
                          for (;;) ::pause();
                          return 0;
                      });
                      return "spawned";
                  } catch (const std::system_error& error) {
                      if (error.code() != std::errc::too_many_files_open) return error.what();
                  }
                  return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD ? "nobody left" : "a child is left";
              }),
              "nobody left");
}

}  // namespace
}  // namespace preforkd
