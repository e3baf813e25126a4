#pragma once
#include <functional>
#include <utility>
#include <vector>

#include "common/channel/scoreboard.hpp"
#include "common/config/settings.hpp"
#include "common/process/wide_pipe.hpp"
#include "daemon/worker/loop/asio_reactor.hpp"
#include "daemon/worker/loop/buffer_pool.hpp"
#include "daemon/worker/loop/drain_notice.hpp"
#include "daemon/worker/loop/linger_queue.hpp"
#include "daemon/worker/loop/wait_list.hpp"

namespace preforkd {

/// One thread's reactor and what its connections share.  Made after the fork, never before.
struct Loop {
    Loop(WorkerRecord& worker_record, std::chrono::milliseconds idle, std::size_t parked)
        : record{worker_record}, idle_timeout{idle}, linger{reactor, parked} {}
    ~Loop() { reactor.context.end(); }  // connections that still wait use all of what follows
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Handler code runs from here.
    void in_handler() noexcept { enter(record, WorkerState::InHandler); }

    /// Handler code has given the thread back.
    void out_of_handler() noexcept { leave_handler(record, state_at_rest()); }

    /// What the worker is while no handler code runs: that depends on what is open.
    [[nodiscard]] WorkerState state_at_rest() const noexcept {
        if (draining) return WorkerState::Draining;
        return record.active.load(std::memory_order_relaxed) == 0 ? WorkerState::Idle : WorkerState::WaitingForClient;
    }

    /// Somebody is going to wait for its client.
    void before_wait() {
        if (on_first_wait) std::exchange(on_first_wait, nullptr)();
    }

    /// Whether the worker has been told to leave.
    [[nodiscard]] bool is_draining() const noexcept { return draining || (notice != nullptr && notice->draining()); }

    /// It has: whoever waits for a request that has not begun waits no more.
    void drain() {
        draining = true;
        waits.end_idle();
    }

    /// Somebody is going to wait for a next request.
    void before_idle_wait() {
        if (notice == nullptr || std::exchange(hears_of_drain_, true)) return;
        before_wait();
        notice->begin_idle_wait();
        if (const int fd = notice->drain_fd(); fd >= 0)
            reactor.watch(fd, [this, fd] {
                reactor.forget(fd);
                drain();
            });
    }

    AsioReactor reactor{};
    WorkerRecord& record;
    TrafficCounter traffic{record.traffic, TrafficCounter::Writers::One};
    std::chrono::milliseconds idle_timeout;
    std::chrono::milliseconds request_timeout{};  ///< zero: never
    bool draining = false;
    DrainNotice* notice = nullptr;          ///< of a loop for one connection; else `draining` tells
    std::function<void()> on_first_wait{};  ///< what a loop that never waits need not have
    BufferPool buffers{};
    std::vector<WidePipe> wide_pipes{};  ///< that nobody has just now
    WaitList waits{reactor};
    LingerQueue linger;

private:
    bool hears_of_drain_ = false;
};

}  // namespace preforkd
