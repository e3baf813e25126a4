#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <optional>
#include <utility>

#include "common/log/standard_output.hpp"
#include "common/process/child_process.hpp"
#include "common/process/heap_holes.hpp"
#include "common/process/spawn.hpp"
#include "common/tls/signer.hpp"
#include "daemon/worker/accept/accept_streams.hpp"
#include "daemon/worker/datagram/receive_datagrams.hpp"
#include "daemon/worker/model/child_model.hpp"
#include "daemon/worker/model/forked_child.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/process/child_signals.hpp"

namespace preforkd {

namespace {

bool heap_is_full = false;  // of small holes

/// The clock without the pages of the vDSO, which a child would have to map for one reading.
Clock::time_point time_by_call() noexcept {
    timespec now{};
    ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return Clock::time_point{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
}

/// What every forked child does: makes itself one, serves, and says by its exit code whether that went well.
class ForkJob : public ChildJob {
public:
    explicit ForkJob(ChildModel& model)
        : acceptor{model.acceptor}, settings{model.plan.settings}, draining_{*model.draining} {}

    ChildProcess launch() final {
        if (!heap_is_full) {  // now that start-up is over
            fill_heap_holes();
            heap_is_full = true;
        }
        // What the worker has printed must not be in the child's buffer, too.
        return spawn(
            [this, worker = ::getpid(), flushed = flush_standard_output(), forked = exact_time()] {
                ForkedChild child{worker, kept_fds(), draining_};
                WorkerRecord record;  // but for what is added up, the worker's own is the worker's to write
                enter(record, WorkerState::InHandler, forked);
                const ConnectionOutcome outcome = serve({.idle_timeout = settings.idle_timeout,
                                                         .line_max_bytes = settings.line_max_bytes,
                                                         .stop = child,
                                                         .record = record});
                const auto now = time_by_call();
                leave_handler(record, WorkerState::Idle, now);
                acceptor.handler_busy().add(record.handler_busy, Writers::Many);
                count_end(outcome, now);
                if (flushed) flush_standard_output();
                return 0;
            },
            ChildProcess::Handle::Later);
    }

    /// The client has heard of it: serve() ends the connection itself.
    [[nodiscard]] bool end_can_wait() const noexcept final { return true; }

    /// It ends when its client has nothing more to ask.
    void ask_to_leave(const ChildProcess& child) final {
        draining_.set();
        signal(child, SIGURG);
    }

    void report(const ChildEnd& end) final {
        const bool orderly = end.report == ExitReport{ExitReport::Kind::Exited, 0};
        const bool unknown = end.report.kind == ExitReport::Kind::Unknown;  // which the crew has said
        has_counted_ = orderly || unknown;
        if (has_counted_)
            account.leave();  // it has printed it
        else
            account.failed(ConnectionOutcome::Error);
        log_child_end(orderly || unknown ? LogLevel::Debug : LogLevel::Warning, "child", *this, end);
    }

protected:
    /// Its end, unless the child has counted that.
    [[nodiscard]] std::optional<ConnectionOutcome> uncounted() const noexcept {
        return has_counted_ ? std::nullopt : std::optional{account.outcome()};
    }
    Acceptor& acceptor;
    const Settings& settings;

private:
    [[nodiscard]] virtual std::array<int, 3> kept_fds() const noexcept = 0;
    [[nodiscard]] virtual ConnectionOutcome serve(const ServeHere& how) noexcept = 0;
    virtual void count_end(ConnectionOutcome outcome, Clock::time_point now) const noexcept = 0;

    SharedFlag& draining_;
    bool has_counted_ = false;
};

class StreamJob final : public ForkJob {
public:
    StreamJob(AcceptedStream stream, AnyStreamHandler handler, ChildModel& model)
        : ForkJob{model},
          handler_{handler},
          listener_{stream.listener},
          signer_{listener_.settings.tls && listener_.settings.tls->key_process ? model.plan.signer.get() : nullptr},
          client_{stream.client} {
        ended = [this] { acceptor.ended(client_, uncounted()); };
        client = std::move(stream.fd);
        address = stream.address;
        linger = stream.linger;
        account = std::move(stream.account);
        place = std::move(stream.place);
        announced_ = std::move(stream.announced);
        account.set_limit(model.plan.settings.request_timeout);
    }

private:
    [[nodiscard]] std::array<int, 3> kept_fds() const noexcept override {
        const std::array signing = signer_ ? signer_->descriptors() : std::array{-1, -1};
        return {client.get(), signing[0], signing[1]};
    }

    ConnectionOutcome serve(const ServeHere& how) noexcept override {
        AcceptedStream stream{.fd = std::move(client),
                              .address = address,
                              .listener = listener_,
                              .speaks_tls = listener_.tls != nullptr,
                              .linger = linger,
                              .client = client_,
                              .account = std::move(account),
                              .announced = std::move(announced_)};
        // The worker has its copy, and does what comes after our end; the client shall not wait for that.
        ServedStream served = serve_here(handler_, std::move(stream), how);
        if (!served.output_ended) ::shutdown(served.fd.get(), SHUT_WR);
        (void)served.fd.release();
        return served.outcome;
    }

    /// The worker asks it to end when it is late, and when it has to leave itself.
    void count_end(ConnectionOutcome outcome, Clock::time_point now) const noexcept override {
        const std::int64_t now_ns = now.time_since_epoch().count();
        const std::chrono::nanoseconds limit = settings.request_timeout;
        if (outcome == ConnectionOutcome::Cut && limit.count() != 0 && now_ns - client_.came_ns >= limit.count())
            outcome = ConnectionOutcome::RequestTimeout;
        client_.closed(outcome, now_ns);
    }

    AnyStreamHandler handler_;
    const Listener& listener_;
    const Signer* signer_;  ///< null: its handshake needs none
    CountedClient client_;
    std::unique_ptr<const Announced> announced_{};
};

class DatagramJob final : public ForkJob {
public:
    DatagramJob(ReceivedDatagram datagram, AnyDatagramHandler handler, ChildModel& model)
        : ForkJob{model}, handler_{handler}, counter_{datagram.counter}, datagram_{std::move(datagram)} {
        ended = [this] { acceptor.datagram_ended(counter_, uncounted()); };
        address = datagram_.peer();
        place = std::move(datagram_.place);
    }

private:
    /// The listener itself: there is no other socket that replies could come from.
    [[nodiscard]] std::array<int, 3> kept_fds() const noexcept override { return {datagram_.socket, -1, -1}; }

    ConnectionOutcome serve(const ServeHere& how) noexcept override {
        return serve_datagram_here(handler_, std::move(datagram_), how);
    }
    void count_end(ConnectionOutcome outcome, Clock::time_point) const noexcept override { counter_.closed(outcome); }

    AnyDatagramHandler handler_;
    ListenerCounter& counter_;
    ReceivedDatagram datagram_;
};

}  // namespace

Acceptor::Take take_by_forking(const Listener& listener, ChildModel& model) {
    if (!model.draining) model.draining.emplace();
    if (is_datagram(listener.local.transport))
        return receive_one_by_one(
            datagram_inlet(model.plan, listener, model.acceptor),
            [&model, handler = model.handlers.datagram_handler(listener)](ReceivedDatagram datagram) {
                model.crew.start(std::make_unique<DatagramJob>(std::move(datagram), handler, model));
            });
    return accept_streams(listener, model.plan.settings, model.acceptor,
                          [&model, handler = model.handlers.stream_handler(listener)](AcceptedStream stream) {
                              model.crew.start(std::make_unique<StreamJob>(std::move(stream), handler, model));
                          });
}

int serve_fork(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    fill_heap_holes();  // what start-up has left so far: the worker's own objects shall lie side by side, too
    give_grandchildren_ordinary_signals();
    return serve_with_children(plan, handoff, control, ready, ChildCrew::Strangers::Leave, take_by_forking);
}

}  // namespace preforkd
