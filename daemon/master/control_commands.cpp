#include "daemon/master/control_commands.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "common/base/counted.hpp"
#include "common/base/quoted.hpp"
#include "common/base/version.hpp"
#include "common/channel/source_table.hpp"
#include "common/control/readiness.hpp"
#include "common/control/snapshot.hpp"
#include "common/process/cpu_count.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "common/tls/server_context.hpp"
#include "daemon/master/pool/queue_depth.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr std::uint64_t of_a_reload = 1ULL << 63;
constexpr Ticket stop_ticket{0};  // others count from 1
// Of who had asked the image before.
constexpr Ticket upgrade_ticket{of_a_reload - 1};
constexpr Ticket reload_ticket{of_a_reload};

// Nobody tells when an address is free.  Rare: its daemon drains, or somebody has put a file there.
constexpr std::chrono::seconds try_period{1};

bool is_of_a_reload(Ticket ticket) { return (static_cast<std::uint64_t>(ticket) & of_a_reload) != 0; }

std::string said(bool ok, std::string sentence) {
    return answer_line(Outcome{.ok = ok, .sentence = std::move(sentence)});
}

std::optional<std::int64_t> certificate_end(const Listener& listener) {
    if (!listener.tls) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::seconds>(listener.tls->first_expiry().end.time_since_epoch())
        .count();
}

std::optional<RefusedClients> refused_at(const Listener& listener) {
    if (!listener.refused || listener.settings.inetd_wait) return std::nullopt;
    const auto [denied, per_source, rate] = listener.refused->sum();
    return RefusedClients{.denied = denied, .per_source = per_source, .rate = rate};
}

std::optional<LimitedClients> limits_of(const Listener& listener) {
    const SourceQuota quota = quota_of(listener);
    LimitedClients limits{.max = listener.settings.limits.max};
    if (limits.max && listener.sources) limits.clients = listener.sources->cells().clients();
    if (quota.at_once != 0) limits.per_source = quota.at_once;
    if (quota.per_second != 0) limits.rate = quota.per_second;
    return limits == LimitedClients{} ? std::nullopt : std::optional{limits};
}

/// Of another socket at the address of `status`.
void add_queue(ListenerStatus& status, const Listener& listener) {
    const auto add = [](std::optional<std::uint64_t>& sum, const std::optional<std::uint64_t>& more) {
        if (more) sum = sum.value_or(0) + *more;
    };
    const QueueDepth depth = queue_depth(listener);
    add(status.queue.queued, depth.queued);
    add(status.queue.limit, depth.limit);
    add(status.dropped, dropped_at(listener));
}

}  // namespace

void ControlCommands::open(ControlListener listener) {
    const std::string where = to_string(listener.local);
    serve_at(std::move(listener));
    if (server_) log(LogLevel::Info, "control socket: {control}", {{"control", where}});
}

void ControlCommands::want(Endpoint place, Clock::time_point now) {
    if (server_) return;
    wanted_ = std::move(place);
    next_try_ = now + try_period;
}

bool ControlCommands::maintain(Clock::time_point now) {
    if (server_) server_->maintain(now);
    if (!has_passed(next_try_, now)) return false;
    next_try_.reset();
    if (stopping()) return false;
    return server_ ? bind_again(now) : take_over(now);
}

bool ControlCommands::take_over(Clock::time_point now) {
    auto listener = listen_once_free(wanted_);
    if (!listener) {
        next_try_ = now + try_period;
        return false;
    }
    serve_at(std::move(*listener));
    if (server_)
        log(LogLevel::Notice, "control socket: {control}, which could not be had at the start",
            {{"control", to_string(wanted_)}});
    return server_.has_value();
}

bool ControlCommands::bind_again(Clock::time_point now) {
    if (!server_ || !server_->has_lost_its_file()) return false;
    const Endpoint place = server_->listener().local;
    const bool told = std::exchange(lost_, true);
    if (server_->move_to(told ? listen_once_free(place) : listen_again_at(place), now)) {
        lost_ = false;
        return true;
    }
    next_try_ = now + try_period;
    return false;
}

void ControlCommands::serve_at(ControlListener listener) {
    try {
        server_.emplace(std::move(listener), [this](const ControlRequest& request) { return obey(request); });
        events_.watch(server_->fd(), control_key);
    } catch (const std::exception& error) {
        server_.reset();
        log(LogLevel::Warning, "no control socket: {cause}", {{"cause", error.what()}});
    }
}

void ControlCommands::adopt(const HandedControl& handed, Clock::time_point now) {
    if (handed.fd < 0) return;
    serve_at({.fd = UniqueFd{handed.fd}, .local = parse_endpoint(handed.local), .file = handed.file});
    for (const int fd : handed.waiting)
        if (UniqueFd connection{fd}; server_) server_->adopt(std::move(connection), {.waits_for = upgrade_ticket}, now);
    for (const HandedPeer& peer : handed.peers)
        if (UniqueFd connection{peer.fd}; server_)
            server_->adopt(std::move(connection),
                           {.heard = peer.heard,
                            .unsent = peer.unsent,
                            .last = peer.last,
                            .waits_for = peer.waits_for_reload ? std::optional{reload_ticket} : std::nullopt},
                           now);
}

HandedControl ControlCommands::describe() const {
    HandedControl handed;
    handed.setting = targets_.pool.current().settings->control;
    handed.name = targets_.pool.current().settings->name;
    if (!server_) return handed;
    ControlHandover control = server_->handover();
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

void ControlCommands::reload_for_adopted(const HandedControl& handed, Clock::time_point now) {
    if (std::ranges::any_of(handed.peers, &HandedPeer::waits_for_reload))
        targets_.reloader.ask(false, now, concluding(reload_ticket));
}

void ControlCommands::conclude_upgrade(const Outcome& outcome) {
    if (server_) server_->conclude(upgrade_ticket, outcome);
}

void ControlCommands::close() {
    if (server_) server_->close(stop_ticket, {.sentence = "stopped"});
}

ControlReply ControlCommands::obey(const ControlRequest& request) {
    switch (request.command) {
        case ControlCommand::Status: return answer_line("status", to_json(status()));
        case ControlCommand::Deaths: return answer_line("deaths", to_json(targets_.pool.deaths()));
        case ControlCommand::Sources: return answer_line("sources", to_json(sources()));
        case ControlCommand::Ready: {
            const auto reason = why_not_ready(status());
            return said(!reason, reason.value_or("ready"));
        }
        case ControlCommand::Workers: return obey_workers(request.workers);
        case ControlCommand::Stop:
            log(LogLevel::Notice, "stop requested by preforkctl");
            if (!stopping()) targets_.stop();
            return stop_ticket;
        case ControlCommand::Reload: return obey_reload(request.force);
        case ControlCommand::Upgrade: return obey_upgrade();
    }
    return said(false, "not understood");
}

ControlReply ControlCommands::obey_workers(int workers) {
    if (stopping()) return said(false, "the daemon is stopping");
    if (!targets_.pool.current().pool.services.empty()) return said(false, std::string{size_is_fixed});
    targets_.pool.resize_to(workers);
    return said(true, counted(static_cast<std::uint64_t>(workers), "worker") + " wanted");
}

ControlReply ControlCommands::obey_reload(bool force) {
    if (stopping()) return said(false, "the daemon is stopping");
    const Ticket ticket{of_a_reload | ++last_ticket_};
    targets_.reloader.ask(force, Clock::now(), concluding(ticket));
    return ticket;
}

ControlReply ControlCommands::obey_upgrade() {
    if (stopping()) return said(false, "the daemon is stopping");
    const Ticket ticket{++last_ticket_};
    targets_.upgrader.ask(concluding(ticket));
    return ticket;
}

Reloader::Answer ControlCommands::concluding(Ticket ticket) {
    return [this, ticket](const ReloadOutcome& outcome) {
        if (server_) server_->conclude(ticket, {.ok = outcome.done, .sentence = outcome.sentence});
    };
}

std::vector<ListenerSources> ControlCommands::sources() const {
    constexpr std::size_t most = 20;
    std::vector<ListenerSources> all;
    for (const Listener& listener : *targets_.pool.current().listeners) {
        if (!listener.sources || listener.queue != 0 || quota_of(listener) == SourceQuota{}) continue;
        ListenerSources& told = all.emplace_back(ListenerSources{.endpoint = to_string(listener.local)});
        for (const ListedSource& each : listener.sources->cells().top_sources(most))
            told.sources.push_back(
                {.source = to_string(each.source), .connections = each.at_once, .refused = each.refused});
    }
    return all;
}

std::string ControlCommands::snapshot(bool details) {
    Snapshot snapshot{.status = status(), .deaths = targets_.pool.deaths()};
    snapshot.why_not_ready = why_not_ready(snapshot.status);
    if (!details) leave_details_out(snapshot);
    return to_json(snapshot) + '\n';
}

StatusReport ControlCommands::status() {
    const auto now = Clock::now();
    StatusReport report{.version = version(),
                        .pid = ::getpid(),
                        .phase = name_of(targets_.life.phase),
                        .uptime = std::chrono::duration_cast<std::chrono::milliseconds>(now - targets_.began),
                        .processors = usable_cpus(),
                        .reload_failure = printable_uncut(targets_.reloader.failure())};
    const Settings& settings = *targets_.pool.current().settings;
    std::set<std::string> of_copies;
    for (const Listener& listener : *targets_.pool.current().listeners) {
        if (!listener.fd) continue;  // closed: the daemon is stopping
        if (listener.queue != 0) {
            const auto first = std::ranges::find(report.listeners, to_string(listener), &ListenerStatus::endpoint);
            if (first != report.listeners.end()) add_queue(*first, listener);
            continue;
        }
        if (run_mode_of(listener.settings, settings) == RunMode::Pool) of_copies.insert(to_string(listener));
        report.listeners.push_back(
            {.endpoint = to_string(listener),
             .handler = printable(server_of(listener.settings, settings)),
             .passed = listener.inherited,
             .lost = has_lost_its_file(listener),
             .queue = queue_depth(listener),
             .queues = static_cast<std::uint64_t>(listener.queues),
             .certificate_expires_s = certificate_end(listener),
             .limits = limits_of(listener),
             .refused = refused_at(listener),
             .program = listener.settings.inetd_wait ? std::optional{ProgramStarts{}} : std::nullopt,
             .counts_traffic = !is_program_at(listener.settings, settings),
             .dropped = dropped_at(listener)});
    }
    targets_.pool.describe(report, now);
    for (ListenerStatus& listener : report.listeners) {
        if (listener.program) listener.program->starts = listener.counts.value_or(ListenerCounts{}).program_starts;
        if (of_copies.contains(listener.endpoint) || listener.program) listener.counts.reset();  // nobody counts there
    }
    const auto started = std::chrono::system_clock::now() - report.uptime;
    report.started_s = std::chrono::duration_cast<std::chrono::seconds>(started.time_since_epoch()).count();
    return report;
}

}  // namespace preforkd
