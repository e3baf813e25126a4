#pragma once
// Serving one stream client to its end in the calling thread: what the models serial (blocking), thread and fork share.
#include <chrono>

#include "common/channel/scoreboard.hpp"
#include "daemon/worker/accept/accept_streams.hpp"
#include "daemon/worker/handler/handler_set.hpp"
#include "daemon/worker/loop/drain_notice.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

/// How a thread that blocks for a client hears that it should stop: something to poll beside the client.
class StopWatch : public DrainNotice {
public:
    /// Becomes readable when there is something to hear; -1: nothing.
    [[nodiscard]] virtual int fd() const noexcept = 0;

    /// Called when fd() is readable, in the thread that waits; reads what there is.
    virtual void hear() = 0;

    /// Called when a handler that blocks asks whether its worker drains; reads what there is, where nobody else does.
    virtual void hear_without_waiting() noexcept {}

    /// Called once a request, before it first waits for its client.
    virtual void before_first_wait() {}

    /// Whether to wait for no client any more.
    [[nodiscard]] virtual bool hurried() const noexcept = 0;
};

struct ServeHere {
    // Zero means never.
    std::chrono::milliseconds idle_timeout{};
    std::chrono::milliseconds request_timeout{};
    std::size_t line_max_bytes = 0;  ///< of what a blocking handler reads; zero: any length
    StopWatch& stop;
    WorkerRecord& record;  ///< whose state follows the waiting; a thread or child gives one of its own
    TrafficCounter traffic{record.traffic, TrafficCounter::Writers::One};
};

/// Serves until the handler has returned (coroutine handlers in a loop of their own, made here) and returns the
/// descriptor, still open, for the lingering close.  verify(), setup(), finish(), handle_error() are called as
/// Handler says.  Throws nothing.
[[nodiscard]] ServedStream serve_here(const AnyStreamHandler& handler, AcceptedStream stream,
                                      const ServeHere& how) noexcept;

}  // namespace preforkd
