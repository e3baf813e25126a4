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
    const ChildProcess child = spawn([worker = ::getpid()] {
        ForkedChild self{worker, {STDOUT_FILENO, -1, -1}};
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
    const ChildProcess child = spawn([worker = ::getpid()] {
        ForkedChild self{worker, {STDOUT_FILENO, -1, -1}};
        ::raise(SIGTERM);
        self.before_first_wait();
        return readable(self.fd()) ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
}

TEST(ForkedChild, keeps_no_descriptor_for_waiting_until_it_waits) {
    const ChildProcess child = spawn([worker = ::getpid()] {
        const ForkedChild self{worker, {STDOUT_FILENO, -1, -1}};
        return self.fd() == -1 ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
}

}  // namespace
}  // namespace preforkd
