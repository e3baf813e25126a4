#include "daemon/worker/model/forked_child.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>

#include "common/process/spawn.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

bool readable(int fd) {
    pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
}

TEST(ForkedChild, hears_while_it_waits_that_it_should_end) {
    const SharedFlag draining;
    const ChildProcess child = spawn([&draining, worker = ::getpid()] {
        ForkedChild self{worker, {STDOUT_FILENO, -1, -1}, draining};
        self.before_first_wait();
        const bool quiet = !readable(self.fd()) && !self.hurried();
        ::raise(SIGTERM);
        const bool told = readable(self.fd());
        self.hear();
        return quiet && told && self.hurried() ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
}

TEST(ForkedChild, hears_when_it_first_waits_what_it_was_told_before) {
    const SharedFlag draining;
    const ChildProcess child = spawn([&draining, worker = ::getpid()] {
        ForkedChild self{worker, {STDOUT_FILENO, -1, -1}, draining};
        ::raise(SIGTERM);
        self.before_first_wait();
        return readable(self.fd()) ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
}

TEST(ForkedChild, keeps_no_descriptor_for_waiting_until_it_waits) {
    const SharedFlag draining;
    const ChildProcess child = spawn([&draining, worker = ::getpid()] {
        const ForkedChild self{worker, {STDOUT_FILENO, -1, -1}, draining};
        return self.fd() == -1 ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
}

TEST(ForkedChild, is_woken_by_a_drain_while_it_waits_for_a_next_request_only) {
    SharedFlag draining;
    const ChildProcess child = spawn([&draining, worker = ::getpid()] {
        ForkedChild self{worker, {STDOUT_FILENO, -1, -1}, draining};
        self.before_first_wait();
        ::raise(SIGURG);
        const bool undisturbed = !readable(self.fd()) && !self.draining();
        self.begin_idle_wait();
        draining.set();
        ::raise(SIGURG);
        const bool woken = readable(self.fd());
        self.hear();
        const bool told = self.draining() && !self.hurried();
        self.end_idle_wait();
        ::raise(SIGURG);
        return undisturbed && woken && told && !readable(self.fd()) ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
    EXPECT_TRUE(draining.is_set()) << "in this process, too";
}

}  // namespace
}  // namespace preforkd
