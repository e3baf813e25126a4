// What preforkctl asks and orders of the master.
#include <unistd.h>

#include <algorithm>

#include "common/base/counted.hpp"
#include "common/base/quoted.hpp"
#include "common/base/version.hpp"
#include "common/control/readiness.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "daemon/master/pool/queue_depth.hpp"
#include "daemon/master/supervisor.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr std::uint64_t of_a_reload = 1ULL << 63;
constexpr Ticket stop_ticket{0};  // others count from 1
// Of who had asked the image before.
constexpr Ticket upgrade_ticket{of_a_reload - 1};
constexpr Ticket reload_ticket{of_a_reload};

bool is_of_a_reload(Ticket ticket) { return (static_cast<std::uint64_t>(ticket) & of_a_reload) != 0; }

std::string said(bool ok, std::string sentence) {
    return answer_line(Outcome{.ok = ok, .sentence = std::move(sentence)});
}

/// By name, as the command line has it: a program, or a handler.
std::string server_of(const Listener& listener, const Settings& settings) {
    const bool is_program = !settings.program.empty() && listener.settings.handler.empty();
    return printable(is_program ? settings.program.front() : handler_of(listener.settings, settings));
}

}  // namespace

void Supervisor::open_control(ControlListener listener) {
    const std::string where = to_string(listener.local);
    serve_control(std::move(listener));
    if (control_) log(LogLevel::Info, "control socket: {control}", {{"control", where}});
}

void Supervisor::serve_control(ControlListener listener) {
    try {
        control_.emplace(std::move(listener), [this](const ControlRequest& request) { return obey(request); });
        events_.watch(control_->fd(), control_key);
    } catch (const std::exception& error) {
        control_.reset();
        log(LogLevel::Warning, "no control socket: {cause}", {{"cause", error.what()}});
    }
}

void Supervisor::adopt_control(const Handover& handover, Clock::time_point now) {
    if (handover.control.fd < 0) return;
    serve_control({.fd = UniqueFd{handover.control.fd},
                   .local = parse_endpoint(handover.control.local),
                   .file = handover.control.file});
    for (const int fd : handover.control.waiting)
        if (UniqueFd connection{fd}; control_)
            control_->adopt(std::move(connection), {.waits_for = upgrade_ticket}, now);
    for (const HandedPeer& peer : handover.control.peers)
        if (UniqueFd connection{peer.fd}; control_)
            control_->adopt(std::move(connection),
                            {.heard = peer.heard,
                             .unsent = peer.unsent,
                             .last = peer.last,
                             .waits_for = peer.waits_for_reload ? std::optional{reload_ticket} : std::nullopt},
                            now);
}

HandedControl Supervisor::describe_control() const {
    HandedControl handed;
    handed.setting = pool_.current().settings->control;
    handed.name = pool_.current().settings->name;
    if (!control_) return handed;
    ControlHandover control = control_->handover();
    handed.fd = control.listener;
    handed.local = to_string(control.local);
    handed.file = control.file;
    for (auto& [fd, state] : control.peers) {
        if (state.waits_for && !is_of_a_reload(*state.waits_for))
            handed.waiting.push_back(fd);
        else
            handed.peers.push_back({.fd = fd,
                                    .heard = std::move(state.heard),
                                    .unsent = std::move(state.unsent),
                                    .last = state.last,
                                    .waits_for_reload = state.waits_for.has_value()});
    }
    return handed;
}

/// Who had asked the image before for a reload is answered by one of this image.
void Supervisor::reload_for_adopted(const Handover& handover, Clock::time_point now) {
    if (!std::ranges::any_of(handover.control.peers, &HandedPeer::waits_for_reload)) return;
    reloader_.ask(false, now, [this](const ReloadOutcome& outcome) {
        if (control_) control_->conclude(reload_ticket, {.ok = outcome.done, .sentence = outcome.sentence});
    });
}

void Supervisor::conclude_upgrade(const Outcome& outcome) {
    if (control_) control_->conclude(upgrade_ticket, outcome);
}

void Supervisor::close_control() {
    if (control_) control_->close(stop_ticket, {.sentence = "stopped"});
}

ControlReply Supervisor::obey(const ControlRequest& request) {
    switch (request.command) {
        case ControlCommand::Status: return answer_line("status", to_json(status()));
        case ControlCommand::Deaths: return answer_line("deaths", to_json(pool_.deaths()));
        case ControlCommand::Ready: return obey_ready();
        case ControlCommand::Workers: return obey_workers(request.workers);
        case ControlCommand::Stop:
            log(LogLevel::Notice, "stop requested by preforkctl");
            if (life_.phase < Phase::Withdrawing) feed(StopRequested{Urgency::Graceful, Clock::now()});
            return stop_ticket;
        case ControlCommand::Reload: return obey_reload(request.force);
        case ControlCommand::Upgrade: return obey_upgrade();
    }
    return said(false, "not understood");
}

ControlReply Supervisor::obey_ready() {
    const auto reason = why_not_ready(status());
    return said(!reason, reason.value_or("ready"));
}

ControlReply Supervisor::obey_workers(int workers) {
    if (life_.phase >= Phase::Withdrawing) return said(false, "the daemon is stopping");
    pool_.resize_to(workers);
    return said(true, counted(static_cast<std::uint64_t>(workers), "worker") + " wanted");
}

ControlReply Supervisor::obey_reload(bool force) {
    if (life_.phase >= Phase::Withdrawing) return said(false, "the daemon is stopping");
    const Ticket ticket{of_a_reload | ++last_ticket_};
    reloader_.ask(force, Clock::now(), [this, ticket](const ReloadOutcome& outcome) {
        if (control_) control_->conclude(ticket, {.ok = outcome.done, .sentence = outcome.sentence});
    });
    return ticket;
}

ControlReply Supervisor::obey_upgrade() {
    if (life_.phase >= Phase::Withdrawing) return said(false, "the daemon is stopping");
    const Ticket ticket{++last_ticket_};
    upgrader_.ask([this, ticket](const ReloadOutcome& outcome) {
        if (control_) control_->conclude(ticket, {.ok = outcome.done, .sentence = outcome.sentence});
    });
    return ticket;
}

StatusReport Supervisor::status() {
    const auto now = Clock::now();
    StatusReport report{.version = version(),
                        .pid = ::getpid(),
                        .phase = name_of(life_.phase),
                        .uptime = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_)};
    for (const Listener& listener : *pool_.current().listeners) {
        if (!listener.fd) continue;  // closed: the daemon is stopping
        report.listeners.push_back({.endpoint = to_string(listener.local),
                                    .handler = server_of(listener, *pool_.current().settings),
                                    .passed = listener.inherited,
                                    .lost = has_lost_its_file(listener),
                                    .queue = queue_depth(listener)});
    }
    pool_.describe(report, now);
    return report;
}

}  // namespace preforkd
