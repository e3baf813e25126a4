#include "daemon/worker/model/waiting_program.hpp"

#include <fcntl.h>

#include <csignal>
#include <optional>
#include <system_error>
#include <utility>

#include "common/base/quoted.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/channel/source_table.hpp"
#include "daemon/worker/program/stderr_lines.hpp"
#include "daemon/worker/program/waiting_policy.hpp"
#include "daemon/worker/program/waiting_work.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// One listener, as this worker sees it.
///
///   Elsewhere   another worker has it
///   Watching    this one waits in its queue, alone
///   Running     the program has the socket
///   Pausing     the program has ended at once and left what it was started for
///
/// One worker has the listener, over all generations: it counts as its client, of whom there may be one.  It keeps it
/// until it leaves, and its program has ended.  Others must not even wait beside the program: of those that sleep in
/// epoll exclusively and in accept(2) or recv(2) the kernel wakes one, which would be a worker with nothing to do.
class HandedOver final : public std::enable_shared_from_this<HandedOver> {
public:
    HandedOver(const Listener& listener, ChildModel& model, StartWaiting start)
        : listener_{listener},
          model_{model},
          start_{std::move(start)},
          counter_{model.acceptor.open_counter(listener)},
          timer_{model.reactor.make_timer()} {}

    int take(int socket);

    [[nodiscard]] ChildProcess launch(int standard_error) {
        started_ = Clock::now();
        // O_NONBLOCK belongs to the description.  The program before may have set it, and this one expects to wait.
        check(::fcntl(socket_.get(), F_SETFL, 0), "make a listener blocking");
        return start_(socket_.get(), standard_error);
    }

    /// Nothing of the program is left.
    void ended(ConnectionOutcome outcome);

    [[nodiscard]] std::string endpoint() const { return to_string(listener_); }
    [[nodiscard]] ChildModel& model() const noexcept { return model_; }
    [[nodiscard]] int stop_signal() const noexcept { return stop_signal_of(listener_.settings, model_.plan.settings); }

private:
    enum class Stage { Elsewhere, Watching, Running, Pausing };

    [[nodiscard]] bool take_over();
    void look_later();
    void take_back_socket() const;
    [[nodiscard]] WaitingRun judge_run(int socket, ConnectionOutcome outcome) const;
    void pause_for(std::chrono::milliseconds pause);
    void go_on();

    const Listener& listener_;
    ChildModel& model_;
    StartWaiting start_;
    ListenerCounter& counter_;
    std::unique_ptr<Timer> timer_;
    CountedPlace place_{};  ///< that of the one worker
    Stage stage_ = Stage::Elsewhere;
    UniqueFd socket_{};   ///< while the program has it: a worker that leaves has closed the other one
    WaitingWork work_{};  ///< what the program was started for
    Clock::time_point started_{};
    std::chrono::milliseconds pause_{};
    int unclear_in_row_ = 0;
};

/// A program that has the socket.
class WaitingJob final : public ChildJob {
public:
    explicit WaitingJob(std::shared_ptr<HandedOver> service) : service_{std::move(service)} {
        ended = [this] { service_->ended(account.outcome()); };
    }

    ChildProcess launch() override {
        StderrPipe pipe = open_stderr_pipe();
        errors_.emplace(service_->model().reactor, std::move(pipe.reader),
                        [this](std::string_view line) { log_line(line); });
        ChildProcess process = service_->launch(pipe.writer.get());
        pid_ = process.pid();
        return process;
    }

    void signal(const ChildProcess& program, int signo) const override { ::kill(-program.pid(), signo); }

    /// Itself alone: what it has forked for a client finishes with that.
    void ask_to_leave(const ChildProcess& program) override {
        was_asked_ = true;
        program.signal(service_->stop_signal());
    }

    [[nodiscard]] bool is_one_request() const noexcept override { return false; }
    [[nodiscard]] std::string peer() const override { return service_->endpoint(); }

    void report(const ChildEnd& end) override {
        if (errors_) errors_->finish();
        const bool as_asked = was_asked_ || end.asked_to_end;
        const bool well = end.report == ExitReport{ExitReport::Kind::Exited, 0};
        if (!well && !as_asked && end.report.kind != ExitReport::Kind::Unknown) failed(ConnectionOutcome::Error);
        log_child_end(well                                                      ? LogLevel::Debug
                      : as_asked || end.report.kind == ExitReport::Kind::Exited ? LogLevel::Info
                                                                                : LogLevel::Warning,
                      "program", *this, end);
    }

private:
    void log_line(std::string_view line) const {
        if (log_enabled(LogLevel::Info) && service_->model().stderr_rate.allow())
            log(LogLevel::Info, "program at {listener}: {text}",
                {{"listener", peer()}, {"text", line}, {"child_pid", std::int64_t{pid_}}});
    }

    std::shared_ptr<HandedOver> service_;
    std::optional<StderrLines> errors_{};
    pid_t pid_ = 0;
    bool was_asked_ = false;
};

int HandedOver::take(int socket) {
    if (stage_ == Stage::Elsewhere && !take_over()) {
        look_later();
        return Acceptor::handed_over;
    }
    if (stage_ != Stage::Watching) return Acceptor::handed_over;
    // Who it is takes a look at all connections of the machine: after a run that has left somebody.
    const Look look = pause_ == 0ms ? Look::Whether : Look::AndWho;
    if (const int error = look_for_work(socket, listener_.local.transport, work_, look)) return error;
    socket_ = UniqueFd{::fcntl(socket, F_DUPFD_CLOEXEC, 0)};
    if (!socket_) return errno;
    stage_ = Stage::Running;
    model_.acceptor.program_begun();
    counter_.program_started();
    model_.crew.start(std::make_unique<WaitingJob>(shared_from_this()));
    return Acceptor::handed_over;
}

bool HandedOver::take_over() {
    const SourceCells& cells = listener_.sources->cells();
    const SourceCells::Column column = model_.acceptor.column();
    if (!cells.enter_listener(column, 1)) return false;
    place_.add_total(cells, column);
    timer_->cancel();
    stage_ = Stage::Watching;
    return true;
}

/// The master has a sibling look when one leaves or dies; which may have been too early for this one.
void HandedOver::look_later() {
    constexpr auto period = 10s;
    timer_->set(period, [this] {
        look_later();
        model_.acceptor.look();
    });
}

void HandedOver::ended(ConnectionOutcome outcome) {
    const bool leaves = model_.acceptor.draining();
    take_back_socket();
    const UniqueFd socket = std::move(socket_);
    if (leaves) place_.give_back();  // before a sibling is asked
    model_.acceptor.program_ended();
    if (leaves) return counter_.program_pauses(0ms);
    const WaitingRun run = judge_run(socket.get(), outcome);
    const auto pause = pause_after(pause_, run, unclear_in_row_);
    unclear_in_row_ = run == WaitingRun::Unclear ? unclear_in_row_ + 1 : 0;
    pause_for(pause);
}

void HandedOver::pause_for(std::chrono::milliseconds pause) {
    const auto pause_before = std::exchange(pause_, pause);
    counter_.program_pauses(pause);
    if (pause == 0ms) return go_on();
    if (pause >= first_pause_of_vain_runs && pause_before < first_pause_of_vain_runs)
        log(LogLevel::Warning,
            "{program} has ended at once and left what waits at {listener}; starting it again after pauses that grow "
            "to 30 s",
            {{"program", printable(server_of(listener_.settings, model_.plan.settings))}, {"listener", endpoint()}});
    stage_ = Stage::Pausing;
    timer_->set(pause, [this] { go_on(); });
}

WaitingRun HandedOver::judge_run(int socket, ConnectionOutcome outcome) const {
    WaitingWork now;
    const Transport transport = listener_.local.transport;
    const bool somebody_waits =
        look_for_work(socket, transport, now, work_.clients ? Look::AndWho : Look::Whether) == 0;
    const std::optional<bool> the_same = is_still_there(work_, now, transport);
    return judge({.age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_),
                  .ended_well = outcome == ConnectionOutcome::Ok,
                  .somebody_waits = somebody_waits && the_same.value_or(true),
                  .is_known = the_same.has_value()});
}

/// A program that has connected a socket for datagrams has it hear that client alone, also when it has ended.
void HandedOver::take_back_socket() const {
    if (!is_datagram(listener_.local.transport)) return;
    try {
        (void)disconnect(socket_.get(), listener_.local);
    } catch (const std::system_error& error) {
        log(LogLevel::Error, "{listener} hears the last client alone, to whom its program has connected it: {cause}",
            {{"listener", endpoint()}, {"cause", with_remedy(error)}});
    }
}

void HandedOver::go_on() {
    stage_ = Stage::Watching;
    model_.acceptor.take_back(listener_);
}

}  // namespace

Acceptor::Take take_by_handing_over(const Listener& listener, ChildModel& model, StartWaiting start) {
    const auto service = std::make_shared<HandedOver>(listener, model, std::move(start));
    return [service](int socket) { return service->take(socket); };
}

}  // namespace preforkd
