#include "daemon/ctl/status_table.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "daemon/ctl/date_text.hpp"
#include "daemon/ctl/figures.hpp"
#include "daemon/ctl/looks.hpp"
#include "daemon/ctl/text_table.hpp"

namespace preforkd {
namespace {

std::string bytes_text(std::uint64_t bytes) { return bytes < 1024 ? counted(bytes, "byte") : size_text(bytes); }

/// `3 of 9, 2 a source, 5/s a source`.
std::string limits_text(const std::optional<LimitedClients>& limits) {
    if (!limits) return "-";
    std::vector<std::string> parts;
    if (limits->max) parts.push_back(fmt::format("{} of {}", or_dash(limits->clients), *limits->max));
    if (limits->per_source) parts.push_back(fmt::format("{} a source", *limits->per_source));
    if (limits->rate) parts.push_back(fmt::format("{}/s a source", *limits->rate));
    return fmt::format("{}", fmt::join(parts, ", "));
}

/// `3 denied, 1 by rate`.
std::string refused_text(const std::optional<RefusedClients>& refused) {
    if (!refused) return "-";
    std::vector<std::string> parts;
    for (const auto& [count, reason] :
         {std::pair{refused->denied, "denied"}, {refused->per_source, "by per-source"}, {refused->rate, "by rate"}})
        if (count != 0) parts.push_back(fmt::format("{} {}", count, reason));
    return parts.empty() ? "0" : fmt::format("{}", fmt::join(parts, ", "));
}

/// Of connections that did not end well.
std::string failures_text(const std::optional<ListenerCounts>& counts) {
    if (!counts) return "-";
    const std::string text = named_text(std::span{outcome_names}.subspan(1), std::span{counts->closed}.subspan(1));
    return text.empty() ? "0" : text;
}

std::string attempts_text(std::string_view what, const Attempts& attempts) {
    std::string text;
    if (attempts.done != 0) text = fmt::format("; {}: {} done", what, attempts.done);
    if (attempts.failed != 0)
        text += fmt::format("{} {} failed", text.empty() ? fmt::format("; {}:", what) : ",", attempts.failed);
    return text;
}

/// What has happened to the service, in a line; of nothing, nothing.
std::string events_text(const ServiceCounts& counts) {
    std::string text;
    if (const std::string deaths = named_text(death_cause_names, counts.deaths); !deaths.empty())
        text += "; worker deaths: " + deaths;
    text += attempts_text("reloads", counts.reloads) + attempts_text("upgrades", counts.upgrades);
    for (const auto& [title, numbers] :
         {std::pair{"accept errors", &counts.accept_errors}, std::pair{"handler", &counts.handler}}) {
        std::vector<std::string> parts;
        for (const auto& [name, count] : *numbers) parts.push_back(fmt::format("{} {}", count, name));
        if (!parts.empty()) text += fmt::format("; {}: {}", title, fmt::join(parts, ", "));
    }
    return text.empty() ? text : text.substr(2) + '\n';
}

std::string key_process_text(const std::optional<KeyProcessStatus>& keys) {
    if (!keys) return "";
    if (keys->pid == 0) return "no key process signs: TLS handshakes fail\n";
    return fmt::format("private keys: pid {}, uid {}{}\n", keys->pid, keys->user,
                       keys->has_own_user ? "" : ", its master's");
}

/// Workers that others have replaced, and that still serve; of none, nothing.
std::string leaving_text(const StatusReport& report) {
    std::uint64_t count = 0;
    std::uint64_t connections = 0;
    const WorkerStatus* longest = nullptr;
    for (const WorkerStatus& each : report.workers) {
        if (!each.leaving_for) continue;
        ++count;
        connections += each.connections;
        if (longest == nullptr || *each.leaving_for > *longest->leaving_for) longest = &each;
    }
    if (longest == nullptr) return "";
    return fmt::format("{} leaving{}, the longest for {}: worker {}, pid {}\n", counted(count, "worker"),
                       counts_clients(report) ? ", with " + counted(connections, "connection") : "",
                       age_text(*longest->leaving_for), longest->number, longest->pid);
}

std::string summary(const StatusReport& report) {
    std::string text = fmt::format("preforkd {}, pid {}, {} for {}, generation {}\n", report.version, report.pid,
                                   report.phase, age_text(report.uptime), report.generation);
    text += fmt::format("{} of {} ready", ready_workers(report),
                        counted(static_cast<std::uint64_t>(report.workers_wanted), "worker"));
    text += counts_clients(report) ? fmt::format("; requests: {} now, {} ever, {} served", report.connections,
                                                 report.accepted, report.served)
                                   : ", copies of a program that accepts by itself";
    if (report.received_bytes && report.sent_bytes)
        text +=
            fmt::format("; {} received, {} sent", bytes_text(*report.received_bytes), bytes_text(*report.sent_bytes));
    if (report.replaced != 0) text += fmt::format("; {} replaced", counted(report.replaced, "worker"));
    if (report.dropped_log_lines != 0)
        text += fmt::format("; {} dropped", counted(report.dropped_log_lines, "log line"));
    return text + '\n' + leaving_text(report) + key_process_text(report.key_process) + events_text(report.counts);
}

std::string remark_on(const ListenerStatus& listener) {
    std::string remark = listener.passed ? " (passed)"
                         : listener.lost ? " (unreachable: its file is missing or replaced)"
                                         : "";
    if (listener.program) {
        remark += fmt::format(" (inetd=wait, {}", counted(listener.program->starts, "start"));
        if (listener.program->pause.count() > 0)
            remark += fmt::format(", with pauses of {} as it leaves its clients", to_string(listener.program->pause));
        remark += ')';
    }
    if (const auto expires = listener.certificate_expires_s)
        remark += fmt::format(" (certificate until {})",
                              date_text(std::chrono::system_clock::time_point{std::chrono::seconds{*expires}}));
    return remark;
}

void add_count_cells(const ListenerStatus& listener, std::vector<std::string>& cells) {
    if (!listener.counts) {
        cells.insert(cells.end(), 8, "-");
        return;
    }
    const ListenerCounts& counts = *listener.counts;
    const auto bytes = [&](std::uint64_t number) { return listener.counts_traffic ? size_text(number) : "-"; };
    for (std::string cell :
         {or_dash(listener.dropped), bound_cell(counts.accept_wait, 0.99), std::to_string(listener.connections),
          std::to_string(listener.most_connections), std::to_string(counts.accepted), bound_cell(counts.duration, 0.99),
          bytes(counts.received_bytes), bytes(counts.sent_bytes)})
        cells.push_back(std::move(cell));
}

/// Of a daemon of a version that does not count its listeners, or with a cell for each of their counts.
std::string listeners_text(const StatusReport& report, std::size_t columns) {
    std::vector<ListenerStatus> all = report.listeners;
    if (report.other_listeners) all.push_back(*report.other_listeners);
    const auto some = [&](auto&& has) { return std::ranges::any_of(all, has); };
    const bool some_count = some([](const ListenerStatus& each) { return each.counts.has_value(); });
    const bool some_limit = some([](const ListenerStatus& each) { return each.limits.has_value(); });
    const bool some_refuse = some([](const ListenerStatus& each) { return each.refused.has_value(); });
    const bool some_fail = some([](const ListenerStatus& each) { return failures_text(each.counts).size() > 1; });
    std::vector<TextTable::Column> titles{{"LISTENER"}, {"HANDLER"}, {"QUEUED", right}, {"LIMIT", right}};
    if (some_count)
        for (const char* const title : {"DROPPED", "WAIT P99", "NOW", "MOST", "EVER", "TOOK P99", "RECEIVED", "SENT"})
            titles.push_back({title, right});
    if (some_limit) titles.push_back({"CLIENTS"});
    if (some_refuse) titles.push_back({"REFUSED"});
    if (some_fail) titles.push_back({"FAILED"});
    TextTable table{std::move(titles)};
    for (const ListenerStatus& each : all) {
        std::vector<std::string> cells{each.endpoint + remark_on(each), or_dash(each.handler),
                                       queue_text(each.queue.queued, each.queue.in_bytes),
                                       queue_text(each.queue.limit, each.queue.in_bytes)};
        if (some_count) add_count_cells(each, cells);
        if (some_limit) cells.push_back(limits_text(each.limits));
        if (some_refuse) cells.push_back(refused_text(each.refused));
        if (some_fail) cells.push_back(failures_text(each.counts));
        table.add(std::move(cells));
    }
    return table.text(columns);
}

}  // namespace

std::string status_text(const StatusReport& report, std::size_t columns) {
    const std::string listeners = listeners_text(report, columns);
    const bool clients = counts_clients(report);
    std::vector<TextTable::Column> titles{{"WORKER", right}, {"PID", right}};
    if (!clients) titles.push_back({"PROGRAM", right});
    const bool services = have_services(report);
    if (services) titles.push_back({"SERVICE"});
    for (TextTable::Column title : {TextTable::Column{"GEN", right}, {"STATE"}, {"SINCE", right}, {"AGE", right}})
        titles.push_back(std::move(title));
    if (clients)
        for (const char* const title : {"NOW", "EVER", "RECEIVED", "SENT"}) titles.push_back({title, right});
    const bool some_tell =
        std::ranges::any_of(report.workers, [](const WorkerStatus& each) { return !each.program_status.empty(); });
    if (some_tell) titles.push_back({"STATUS"});
    titles.push_back({clients ? "LAST ERROR" : "LAST WORDS"});
    TextTable workers{std::move(titles)};
    for (const WorkerStatus& each : report.workers) {
        std::vector<std::string> cells{std::to_string(each.number), std::to_string(each.pid)};
        if (!clients) cells.push_back(or_dash(each.program_pid));
        if (services) cells.push_back(or_dash(each.service));
        for (std::string cell : {or_dash(each.generation), each.state, age_text(each.leaving_for.value_or(each.since)),
                                 age_text(each.age)})
            cells.push_back(std::move(cell));
        if (clients)
            for (std::string cell : {std::to_string(each.connections), std::to_string(each.accepted),
                                     size_or_dash(each.received_bytes), size_or_dash(each.sent_bytes)})
                cells.push_back(std::move(cell));
        if (some_tell) cells.push_back(or_dash(each.program_status));
        cells.push_back(or_dash(each.last_error));
        workers.add(std::move(cells));
    }
    return summary(report) + '\n' + listeners + '\n' + workers.text(columns);
}

std::string status_text(const std::vector<NamedStatus>& daemons, std::size_t columns) {
    TextTable table{
        {{"NAME"}, {"PID", right}, {"STATE"}, {"SINCE", right}, {"READY", right}, {"NOW", right}, {"CONTROL"}}};
    for (const auto& [name, control, report] : daemons)
        table.add({name, std::to_string(report.pid), report.phase, age_text(report.uptime),
                   fmt::format("{} of {}", ready_workers(report), report.workers_wanted),
                   std::to_string(report.connections), control});
    return table.text(columns);
}

std::string sources_text(const std::vector<ListenerSources>& listeners, std::size_t columns) {
    if (listeners.empty()) return "no listener limits its sources\n";
    TextTable table{{{"LISTENER"}, {"SOURCE"}, {"NOW", right}, {"REFUSED", right}}};
    for (const auto& [endpoint, sources] : listeners) {
        if (sources.empty()) table.add({endpoint, "-", "-", "-"});
        for (const SourceReport& each : sources)
            table.add({endpoint, each.source, std::to_string(each.connections), std::to_string(each.refused)});
    }
    return table.text(columns);
}

std::string deaths_text(const DeathRing& deaths, std::size_t columns) {
    if (deaths.all().empty()) return "no worker has died\n";
    const bool some_spoke =
        std::ranges::any_of(deaths.all(), [](const DeathReport& each) { return !each.last_error.empty(); });
    std::vector<TextTable::Column> titles{{"TIME"},          {"WORKER", right}, {"PID", right},    {"CAUSE"},
                                          {"ORDERED BY"},    {"AGE", right},    {"SERVED", right}, {"CPU", right},
                                          {"MEMORY", right}, {"LAST PEER"}};
    if (some_spoke) titles.push_back({"LAST ERROR"});
    TextTable table{std::move(titles)};
    for (const DeathReport& death : deaths.all()) {
        std::vector<std::string> cells{
            death.time,
            std::to_string(death.number),
            std::to_string(death.pid),
            death.cause,
            death.ordered_by,
            age_text(death.age),
            or_dash(death.served),
            fmt::format("{:.2f}s", static_cast<double>((death.used.user + death.used.system).count()) / 1000),
            size_text(death.used.max_rss_bytes),
            or_dash(death.last_peer)};
        if (some_spoke) cells.push_back(or_dash(death.last_error));
        table.add(std::move(cells));
    }
    return table.text(columns);
}

}  // namespace preforkd
