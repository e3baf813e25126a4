#include "daemon/worker/program/program_launch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::end_of;
using testing::in_child;

/// What a program started so writes to its standard output.
std::string output_of(const rlimit& original, const std::string& file, std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    char* const no_environment[] = {nullptr};
    testing::Pipe pipe = testing::make_pipe();
    const ProgramLauncher launcher{original};
    ChildProcess program = launcher.start({.file = file,
                                           .arguments = arguments.data(),
                                           .environment = no_environment,
                                           .client = pipe.writer.get(),
                                           .standard_error = pipe.writer.get()});
    program.open_handle();
    pipe.writer = {};
    std::string output = testing::read_to_end(pipe.reader.get());
    const ExitReport report = end_of(program);
    if (report != testing::success) output += "(failed)";
    return output;
}

rlimit limit_now() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
}

std::string refusal_of(const std::string& name) {
    try {
        return "found: " + find_program(name);
    } catch (const OperatorError& error) {
        return std::to_string(static_cast<int>(error.code())) + ": " + error.what();
    }
}

TEST(FindProgram, a_name_is_looked_up_in_path_and_a_path_is_taken_as_it_is) {
    EXPECT_EQ(in_child([] {
                  ::setenv("PATH", "/nonexistent:/bin", 1);
                  return find_program("sh") + " " + find_program("/bin/sh");
              }),
              "/bin/sh /bin/sh");
}

TEST(FindProgram, without_path_it_looks_where_execvp_does) {
    EXPECT_EQ(in_child([] {
                  ::unsetenv("PATH");
                  return find_program("sh");
              }),
              "/bin/sh");
}

TEST(FindProgram, a_relative_path_is_what_it_is_now_whatever_the_directory_is_later) {
    const testing::TemporaryDirectory directory;
    EXPECT_EQ(in_child([&] {
                  std::ofstream{directory / "program"} << "#!/bin/sh\n";
                  ::chmod((directory / "program").c_str(), 0755);
                  ::chdir(directory.path().c_str());
                  const std::string found = find_program("./program");
                  ::chdir("/");
                  return ::access(found.c_str(), X_OK) == 0 ? "there" : found;
              }),
              "there");
}

TEST(FindProgram, what_cannot_run_is_refused_with_its_name) {
    const testing::TemporaryDirectory directory;
    std::ofstream{directory / "plain"} << "x";
    EXPECT_EQ(refusal_of(directory / "nothing").find("78: " + (directory / "nothing") + ": No such file"), 0U);
    EXPECT_NE(refusal_of(directory / "plain").find("Permission denied"), std::string::npos);
    EXPECT_NE(refusal_of(directory.path()).find("Is a directory"), std::string::npos);
    EXPECT_NE(refusal_of("no-such-program-anywhere").find("not found in PATH"), std::string::npos);
}

TEST(FindProgram, a_file_in_path_that_may_not_be_executed_is_passed_over) {
    const testing::TemporaryDirectory directory;
    std::ofstream{directory / "sh"} << "x";
    EXPECT_EQ(in_child([&] {
                  ::setenv("PATH", (directory.path().native() + ":/bin").c_str(), 1);
                  return find_program("sh");
              }),
              "/bin/sh");
}

TEST(ProgramLauncher, no_signal_is_blocked_or_ignored_in_the_program) {
    const std::string status = in_child([] {
        for (const int signo : {SIGPIPE, SIGHUP, SIGUSR1, SIGTTOU}) ::signal(signo, SIG_IGN);
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        return output_of(limit_now(), "/bin/grep", {"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"});
    });
    EXPECT_EQ(status, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(ProgramLauncher, the_program_has_the_original_limit_and_we_keep_ours) {
    EXPECT_EQ(in_child([] {
                  const rlimit before = limit_now();
                  rlimit original = before;
                  original.rlim_cur = 77;
                  const std::string told = output_of(original, "/bin/sh", {"sh", "-c", "ulimit -n"});
                  return told + (limit_now().rlim_cur == before.rlim_cur ? "kept" : "changed");
              }),
              "77\nkept");
}

TEST(ProgramLauncher, the_limit_is_ours_again_though_the_program_cannot_start) {
    EXPECT_EQ(in_child([]() -> std::string {
                  const rlimit before = limit_now();
                  rlimit original = before;
                  original.rlim_cur = 77;
                  try {
                      (void)output_of(original, "/nonexistent/program", {"program"});
                  } catch (const std::system_error& error) {
                      if (error.code() != std::errc::no_such_file_or_directory) return error.what();
                      return limit_now().rlim_cur == before.rlim_cur ? "kept" : "changed";
                  }
                  return "started";
              }),
              "kept");
}

TEST(ProgramLauncher, the_program_leads_a_process_group) {
    EXPECT_EQ(
        output_of(limit_now(), "/bin/sh", {"sh", "-c", "set -- $(cat /proc/$$/stat); test $1 = $5 && echo leads"}),
        "leads\n");
}

TEST(ProgramLauncher, a_program_without_an_interpreter_line_is_said_to_lack_it) {
    const testing::TemporaryDirectory directory;
    std::ofstream{directory / "script"} << "echo never\n";
    ::chmod((directory / "script").c_str(), 0755);
    try {
        (void)output_of(limit_now(), directory / "script", {"script"});
        FAIL() << "started";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), ENOEXEC);
        EXPECT_NE(std::string{error.what()}.find("needs #!"), std::string::npos);
    }
}

}  // namespace
}  // namespace preforkd
