#pragma once
// What a worker's forked child is: one client's process, with nothing of the worker left but the handler.
#include <sys/types.h>

#include <array>
#include <csignal>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/process/shared_flag.hpp"
#include "daemon/worker/stream/serve_here.hpp"

namespace preforkd {

/// Makes the calling process, just forked from `worker`, one that serves a single client.
///
/// Closes every descriptor but 0 to 2, the log and `keep` (-1: none): no listener, no sibling's connection, no channel.
/// Signals mean what they mean in a worker, except that SIGTERM is for this client alone: it ends the waiting, and the
/// process 2 s later (SIGKILL), whatever the handler does.  The kernel sends it too when the worker dies. One per
/// process; stays until _exit(). Source: PR_SET_PDEATHSIG, prctl(2); signal-safety(7) for timer_settime and write.
class ForkedChild final : public StopWatch {
public:
    /// `draining`: set, and SIGURG sent, once the worker has been told to leave.
    ForkedChild(pid_t worker, const std::array<int, 3>& keep, const SharedFlag& draining);

    [[nodiscard]] int fd() const noexcept override { return terminated_.get(); }
    void hear() override;
    void before_first_wait() override;
    [[nodiscard]] bool hurried() const noexcept override { return hurried_; }
    [[nodiscard]] bool draining() const noexcept override { return draining_.is_set(); }
    void begin_idle_wait() override;
    void end_idle_wait() noexcept override;

private:
    const SharedFlag& draining_;
    UniqueFd terminated_{};
    struct sigaction urgent_before_ {};
    bool hurried_ = false;
};

}  // namespace preforkd
