#include "common/process/signal_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using testing::in_child;  // signal masks outlive a test

std::string all_of(const SignalFd& signals) {
    std::string names;
    while (const auto signo = signals.next()) names += std::string{names.empty() ? "" : " "} + ::sigabbrev_np(*signo);
    return names;
}

TEST(SignalFd, nothing_is_read_when_none_is_pending) {
    EXPECT_EQ(in_child([] {
                  const SignalFd signals{SIGTERM};
                  return std::string{signals.next() ? "some" : "none"};
              }),
              "none");
}

TEST(SignalFd, signals_are_read_and_do_not_kill) {
    EXPECT_EQ(in_child([] {
                  const SignalFd signals{SIGTERM, SIGUSR1};
                  ::raise(SIGTERM);
                  if (!testing::comes(signals.get())) return std::string{"not readable"};
                  ::raise(SIGUSR1);
                  return all_of(signals);
              }),
              "USR1 TERM");  // the lowest number first
}

TEST(SignalFd, one_that_arrives_several_times_before_it_is_read_is_read_once) {
    EXPECT_EQ(in_child([] {
                  const SignalFd signals{SIGHUP};
                  for (int n = 0; n < 3; ++n) ::raise(SIGHUP);
                  return all_of(signals);
              }),
              "HUP");
}

TEST(SignalFd, only_the_listed_are_blocked) {
    EXPECT_EQ(in_child([] {
                  const SignalFd signals{SIGTERM};
                  sigset_t blocked{};
                  ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
                  return std::string{::sigismember(&blocked, SIGTERM) == 1 ? "TERM" : ""} +
                         (::sigismember(&blocked, SIGHUP) == 1 ? " HUP" : "") +
                         (::sigismember(&signals.mask(), SIGTERM) == 1 ? " mask" : "");
              }),
              "TERM mask");
}

TEST(SignalFd, the_descriptor_is_close_on_exec_and_non_blocking) {
    EXPECT_EQ(in_child([] {
                  const SignalFd signals{SIGTERM};
                  return std::string{(::fcntl(signals.get(), F_GETFD) & FD_CLOEXEC) != 0 ? "cloexec" : ""} +
                         ((::fcntl(signals.get(), F_GETFL) & O_NONBLOCK) != 0 ? " nonblock" : "");
              }),
              "cloexec nonblock");
}

TEST(SignalFd, a_child_does_not_see_what_is_pending_in_its_parent) {
    EXPECT_EQ(in_child([] {
                  const SignalFd signals{SIGTERM};
                  ::raise(SIGTERM);
                  const ChildProcess child = spawn([&] { return signals.next() ? 1 : 0; });
                  const bool none = testing::end_of(child) == testing::success;
                  return std::string{none ? "child none" : "child some"} + ", parent " + all_of(signals);
              }),
              "child none, parent TERM");
}

}  // namespace
}  // namespace preforkd
