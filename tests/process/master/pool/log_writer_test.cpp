#include "daemon/master/pool/log_writer.hpp"

#include <gmock/gmock.h>

#include <csignal>

#include "common/process/spawn.hpp"
#include "tests/process/log_fixture.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace log_test;
using ::testing::HasSubstr;

class LogWriters : public Log {};

/// Between the upgrade and the master's first look.
TEST_F(LogWriters, one_that_is_killed_as_soon_as_another_image_has_it_is_said_to_have_a_successor) {
    open_log({.format = LogFormat::Text, .file = path("log")});
    LogPipe pipe = open_log_pipe();
    const ChildProcess killed = spawn([] {
        for (;;) ::pause();
        return 0;
    });
    LogWriter writer;
    writer.adopt({.reader = pipe.reader.release(), .writer = pipe.writer.release(), .processes = {killed.pid()}});
    ::kill(killed.pid(), SIGKILL);
    siginfo_t end{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(killed.pid()), &end, WEXITED | WNOWAIT), 0);

    EXPECT_GE(writer.pipe(), 0) << "for a worker that is forked now";
    ASSERT_TRUE(writer.reap(killed.pid(), Clock::now()));

    EXPECT_THAT(content_of(path("log")), HasSubstr("killed by SIGKILL: starting another"));
    writer.maintain(false, Clock::now());
    writer.finish();
}

}  // namespace
}  // namespace preforkd
