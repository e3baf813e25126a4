#include "daemon/master/supervisor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>

#include <cstring>
#include <utility>
#include <vector>

#include "common/base/units.hpp"
#include "common/channel/stopping.hpp"
#include "common/process/process_title.hpp"
#include "common/systemd/ready_fd.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t signals_key = 0;  // every other key is a worker's pid
constexpr auto status_period = 5s;        // only where systemd listens, and sent only when it has changed
constexpr auto retry_period = 100ms;      // of what systemd had no space for
constexpr auto slots_period = 500ms;      // between two looks for them
constexpr auto extension = 15s;           // asked of systemd every status_period while we stop, or start for long

/// Of its workers, and of the process that observes.
std::vector<const Listener*> all_listeners(const Generation& generation) {
    std::vector<const Listener*> all;
    for (const auto& listeners : {generation.listeners, generation.observed})
        for (const Listener& listener : *listeners) all.push_back(&listener);
    return all;
}

}  // namespace

Supervisor::Supervisor(const MasterParts& parts, Generation first, BeginLoading load)
    : parts_{parts},
      pool_{std::move(first), events_},
      reloader_{pool_, parts_.systemd, std::move(load)},
      upgrader_{parts_.launch, events_, [this] { return describe(); }, [this] { pool_.count_upgrade(false); }} {
    const auto now = Clock::now();
    life_.deadline = deadline_after(now, pool_.current().pool.boot_timeout);
    start(now);
}

void Supervisor::start(Clock::time_point now) {
    events_.watch(parts_.signals.get(), signals_key);
    if (parts_.systemd.active()) next_status_ = now + status_period;
    if (parts_.systemd.watchdog_period()) next_watchdog_ = now;
}

int Supervisor::run() {
    set_process_title(fmt::format("master {}", fmt::join(parts_.launch.arguments, " ")));
    while (life_.phase != Phase::Stopped) {
        const auto now = Clock::now();
        log_reopening_.maintain(now);  // before the pool, whose workers log there
        pool_.maintain(now);
        if (control_.maintain(now)) watch_listeners(now);
        observer_.maintain(pool_.current(), pool_.log_pipe(), now);
        tell_systemd(now);
        mind_socket_files(now);
        mind_shared_listeners(now);
        mind_queues_that_go(now);
        mind_ticket_keys();
        offer_conditions(now);
        if (life_.phase == Phase::Stopped) break;
        // At once: it holds what the generation before has dropped.
        if (watched_generation_ != pool_.current().number && life_.phase < Phase::Withdrawing) watch_listeners(now);
        for (const std::uint64_t key : events_.wait_until(next_deadline(Clock::now()))) {
            if (key == signals_key)
                on_signals();
            else if (key == control_key)
                control_.serve(Clock::now());
            else if (key == socket_files_key)
                socket_files_.hear(Clock::now());
            else if (key == shutdown_key)
                shutdowns_.hear(Clock::now());
            else if (key == observer_questions_key)
                observer_.hear_question(Clock::now());
            else if (key == observer_answers_key)
                observer_.go_on_answering(Clock::now());
            else if (key == rehearsal_key)
                upgrader_.hear();
            else
                pool_.hear(static_cast<pid_t>(key), Clock::now());
        }
    }
    control_.close();
    observer_.kill();
    close_for_good(*pool_.current().observed);
    pool_.finish_log();
    log(LogLevel::Notice, "stopped with exit code {exit_code}", {{"exit_code", std::int64_t{life_.exit_code}}});
    return life_.exit_code;
}

Deadline Supervisor::next_deadline(Clock::time_point now) const {
    const Deadline work = earlier(log_reopening_.deadline(), earlier(reloader_.deadline(), upgrader_.deadline()));
    // An upgrade waits for slots, which time may free, or show to be taken.
    const bool lacks_slots = upgrader_.busy() && slots_for_upgrade() != Slots::Free;
    const Deadline slots = lacks_slots ? Deadline{now + slots_period} : Deadline{};
    const Deadline own = earlier(earlier(life_.deadline, slots), earlier(next_status_, next_watchdog_));
    const Deadline sockets = earlier(earlier(socket_files_.deadline(), shutdowns_.deadline()),
                                     earlier(control_.next_deadline(), observer_.deadline()));
    const Deadline clients = earlier(pool_.next_deadline(now), queue_retirement_.deadline());
    return earlier(earlier(own, clients), earlier(work, sockets));
}

/// A stop is the current generation's, whatever the settings were at the start.
Timeouts Supervisor::limits() const noexcept {
    return {.withdraw = pool_.current().settings->drain_delay,
            .drain = pool_.current().pool.stop_timeout,
            .terminate = fast_stop};
}

void Supervisor::offer_conditions(Clock::time_point now) {
    if (pool_.all_ready()) feed(PoolReady{});
    if (pool_.hopeless()) feed(PoolHopeless{now});
    if (pool_.empty()) feed(PoolEmpty{});
    if (const Deadline until = pool_.boot_extended_to(pool_.current().number)) feed(StartExtended{*until});
    if (has_passed(life_.deadline, now)) feed(DeadlinePassed{now});
    reloader_.offer_conditions(life_.phase == Phase::Running, now);
    if (upgrader_.busy()) offer_slots(now);
    upgrader_.offer_conditions(rests(), pool_.current().pool.boot_timeout, now);
}

void Supervisor::watch_listeners(Clock::time_point now) {
    std::vector<SocketFile> files;
    for (const Listener* const listener : all_listeners(pool_.current()))
        if (listener->file) files.push_back({.path = listener->local.path, .identity = *listener->file});
    if (const ControlListener* control = control_.listener(); control != nullptr && control->file)
        files.push_back({.path = control->local.path, .identity = *control->file});
    socket_files_.follow(files, now);
    shutdowns_.follow(*pool_.current().listeners);
    queue_retirement_.follow(*pool_.current().listeners, now);
    watched_generation_ = pool_.current().number;
}

/// A generation of its own binds again what has lost its file: the old one serves the clients queued at the old socket.
void Supervisor::mind_socket_files(Clock::time_point now) {
    if (!socket_files_.is_time_to_look(now) || life_.phase >= Phase::Withdrawing) return;
    if (control_.bind_again(now)) watch_listeners(now);
    if (socket_files_.should_bind_again(all_listeners(pool_.current()), now) && !reloader_.busy())
        reloader_.bind_again(now);
}

/// Workers that have met a listener that is shut down have left it.
void Supervisor::mind_shared_listeners(Clock::time_point now) {
    if (life_.phase < Phase::Withdrawing) shutdowns_.disconnect_all(*pool_.current().listeners, now);
    if (!has_passed(shutdowns_.deadline(), now)) return;
    if (life_.phase >= Phase::Withdrawing) return shutdowns_.follow({});
    if (reloader_.busy()) return shutdowns_.look_later(now);
    const Generation& current = pool_.current();
    if (shutdowns_.should_serve_again(*current.listeners, *current.settings, now)) reloader_.bind_again(now);
}

/// The next generation has to find what it has taken over.
void Supervisor::mind_queues_that_go(Clock::time_point now) {
    if (!has_passed(queue_retirement_.deadline(), now)) return;
    if (life_.phase >= Phase::Withdrawing) return queue_retirement_.follow({}, now);
    if (reloader_.busy() || upgrader_.busy()) return queue_retirement_.look_later(now);
    queue_retirement_.close_empty(*pool_.current().listeners, now);
}

/// Looked at whenever the master is awake: a period of theirs is half a day.
void Supervisor::mind_ticket_keys() {
    const bool used = use_own_ticket_keys(*pool_.current().listeners);
    stored_ticket_keys_.maintain(used ? parts_.launch.ticket_keys.get() : nullptr, TicketKeys::Time::clock::now());
}

void Supervisor::feed(const Event& event) {
    auto [next, actions] = step(life_, event, limits());
    if (next.phase != life_.phase) {
        log(LogLevel::Debug, "phase {from} ends, {to} begins",
            {{"from", name_of(life_.phase)}, {"to", name_of(next.phase)}});
        if (parts_.systemd.active()) next_status_ = Clock::now();
    }
    if (next.exit_code != 0 && life_.exit_code == 0)
        log(LogLevel::Error, "no worker became ready, giving up: {cause}", {{"cause", pool_.last_failure()}});
    life_ = next;  // the only assignment
    for (const Action action : actions) perform(action);
}

void Supervisor::perform(Action action) {
    switch (action) {
        case Action::AnnounceReady:
            announce_ready(std::move(parts_.ready_fd), *pool_.current().listeners);
            parts_.systemd.ready(status_line(pool_.counts()));
            log(LogLevel::Notice,
                pool_.counts().target == 1 ? "ready with {workers} worker" : "ready with {workers} workers",
                {{"workers", std::int64_t{pool_.counts().target}}});
            return;
        case Action::AnnounceStopping:
            if (life_.phase == Phase::Withdrawing)
                log(LogLevel::Notice, "stopping; serving on for --drain-delay {drain_delay}",
                    {{"drain_delay", to_string(limits().withdraw)}});
            else
                log(LogLevel::Notice, "stopping");
            reloader_.stop(Clock::now());
            upgrader_.stop();
            parts_.systemd.stopping();
            next_watchdog_ = parts_.systemd.watchdog_period() ? Deadline{Clock::now()} : Deadline{};
            return;
        case Action::CloseListeners: return close_listeners();
        case Action::AskWorkersToFinish: return pool_.signal_all(SIGQUIT);
        case Action::TerminateWorkers: return pool_.signal_all(SIGTERM);
        case Action::KillWorkers: return pool_.signal_all(SIGKILL);
    }
}

void Supervisor::on_signals() {
    while (const auto signo = parts_.signals.next()) on_signal(*signo);
}

void Supervisor::on_signal(int signo) {
    const auto now = Clock::now();
    if (signo != SIGCHLD) log(LogLevel::Debug, "signal {signal}", {{"signal", sigabbrev_np(signo)}});
    switch (signo) {
        case SIGCHLD: return reap();
        case SIGTERM:
        case SIGQUIT: return feed(StopRequested{Urgency::Graceful, now});
        case SIGINT: return feed(StopRequested{Urgency::Fast, now});
        case SIGHUP: return reloader_.ask(false, now);
        case SIGTTIN: return pool_.resize(+1);
        case SIGTTOU: return pool_.resize(-1);
        case SIGUSR1: return log_reopening_.ask(pool_.current().settings->log, pool_.current().pool.boot_timeout);
        case SIGUSR2: return upgrader_.ask();
        default: log(LogLevel::Debug, "signal {signal} ignored", {{"signal", sigabbrev_np(signo)}});
    }
}

void Supervisor::reap() {
    pool_.spare({upgrader_.rehearsal(), observer_.pid()});
    for (;;) {
        // Look before collecting: as PID 1 or subreaper we have children that nothing of ours has made.
        siginfo_t child{};
        constexpr int any_change = WEXITED | WSTOPPED | WCONTINUED;
        if (::waitid(P_ALL, 0, &child, any_change | WNOHANG | WNOWAIT) == -1 || child.si_pid == 0) return;
        if (child.si_code == CLD_STOPPED || child.si_code == CLD_CONTINUED) {
            const pid_t pid = std::exchange(child.si_pid, 0);
            // Another change may have overtaken the one that was seen.
            if (::waitid(P_PID, static_cast<id_t>(pid), &child, WSTOPPED | WCONTINUED | WNOHANG) == 0 &&
                child.si_pid != 0 && !observer_.note_stop(pid, child.si_code == CLD_STOPPED, Clock::now()))
                pool_.note_stop(pid, child.si_code == CLD_STOPPED ? child.si_status : 0, Clock::now());
            continue;
        }
        if (pool_.reap(child.si_pid, Clock::now()) || upgrader_.reap(child.si_pid) || reloader_.reap(child.si_pid) ||
            log_reopening_.reap(child.si_pid) || observer_.reap(child.si_pid, Clock::now()))
            continue;
        ::waitid(P_PID, static_cast<id_t>(child.si_pid), &child, WEXITED | WNOHANG);
        log(LogLevel::Debug, "reaped an orphan, pid {orphan_pid}", {{"orphan_pid", std::int64_t{child.si_pid}}});
    }
}

void Supervisor::tell_systemd(Clock::time_point now) {
    if (!parts_.systemd.flush()) next_status_ = earlier(next_status_, now + retry_period);
    if (has_passed(next_status_, now)) {
        next_status_ = now + status_period;
        const bool starts_late =
            life_.phase == Phase::Starting && pool_.boot_extended_to(pool_.current().number).has_value();
        if (starts_late || life_.phase >= Phase::Withdrawing) parts_.systemd.extend_timeout(extension);
        if (life_.phase >= Phase::Running) parts_.systemd.status(state());
    }
    if (has_passed(next_watchdog_, now)) {
        next_watchdog_ = now + std::chrono::duration_cast<Clock::duration>(*parts_.systemd.watchdog_period());
        const bool healthy = pool_.healthy();
        if (healthy) parts_.systemd.watchdog();
        if (healthy != std::exchange(was_healthy_, healthy))
            log(healthy ? LogLevel::Notice : LogLevel::Error,
                healthy ? "most workers respond again"
                        : "most workers hang: not notifying the watchdog until they respond");
    }
}

std::string Supervisor::state() {
    const std::string line = reloader_.status();
    return life_.phase > Phase::Running ? std::string{name_of(life_.phase)} + ": " + line : line;
}

/// In a child: private keys, and what session tickets are protected by.
void Supervisor::forget_secrets() noexcept {
    for (const Generation* generation : {&std::as_const(pool_).current(), pool_.next()})
        if (generation != nullptr)
            for (Listener& listener : *generation->listeners) listener.tls.reset();
    parts_.launch.ticket_keys->forget();
}

void Supervisor::close_listeners() {
    shutdowns_.follow({});
    close_for_good(*pool_.current().listeners);  // the workers hold their copies until they have emptied the queues
    pool_.order_all(Order::EmptyQueue);
}

}  // namespace preforkd
