#include "daemon/observe/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/split.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/observe/exposition.hpp"

namespace preforkd {

namespace {

using Kind = Exposition::Kind;

double number(std::uint64_t value) { return static_cast<double>(value); }
double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>{time}.count(); }
double seconds_of_us(std::uint64_t microseconds) { return seconds(std::chrono::microseconds{microseconds}); }

void tell_daemon(Exposition& text, const StatusReport& status, bool ready) {
    text.family(Kind::Gauge, "build_info", "Which version runs; always 1.");
    text.sample(1, {{"version", status.version}});
    text.family(Kind::Gauge, "ready", "Whether it wants to be sent clients, as preforkctl ready tells.");
    text.sample(ready ? 1 : 0);
    text.family(Kind::Gauge, "start_time_seconds", "When the daemon was started, since 1970.");
    text.sample(static_cast<double>(status.started_s));
    text.family(Kind::Gauge, "generation", "The current generation of workers; a reload raises it.");
    text.sample(number(status.generation));
    text.family(Kind::Counter, "reloads_total", "Reloads, by the outcome.");
    text.sample(number(status.counts.reloads.done), {{"outcome", "ok"}});
    text.sample(number(status.counts.reloads.failed), {{"outcome", "failed"}});
    text.family(Kind::Counter, "upgrades_total", "Upgrades in place, by the outcome.");
    text.sample(number(status.counts.upgrades.done), {{"outcome", "ok"}});
    text.sample(number(status.counts.upgrades.failed), {{"outcome", "failed"}});
    text.family(Kind::Counter, "log_lines_dropped_total", "Lines of the log that could not be written.");
    text.sample(number(status.dropped_log_lines));
}

void tell_histogram(Exposition& text, const HistogramCounts& counts, std::vector<Exposition::Label> labels = {}) {
    std::uint64_t below = 0;
    labels.emplace_back("le", "");
    for (std::size_t bucket = 0; bucket < histogram_buckets; ++bucket) {
        below += counts.buckets[bucket];
        const bool last = bucket == histogram_bounds.size();
        const std::string bound = last ? "+Inf" : fmt::format("{}", seconds(histogram_bounds[bucket]));
        labels.back().second = bound;
        text.sample("_bucket", number(below), labels);
    }
    labels.pop_back();
    text.sample("_sum", seconds_of_us(counts.sum_us), labels);
    text.sample("_count", number(below), labels);
}

void tell_pool(Exposition& text, const StatusReport& status) {
    // Of copies of a program nobody knows whether they are busy.
    const std::vector<std::string_view> states =
        counts_clients(status)
            ? std::vector<std::string_view>{"starting", "idle",    "busy", "waiting",
                                            "retiring", "leaving", "hung", "stopped"}
            : std::vector<std::string_view>{"starting", "running", "retiring", "leaving", "hung", "stopped"};
    text.family(Kind::Gauge, "workers", "Worker processes, by what they do now.");
    for (const std::string_view state : states)
        text.sample(static_cast<double>(std::ranges::count(status.workers, state, &WorkerStatus::state)),
                    {{"state", state}});
    text.family(Kind::Gauge, "workers_wanted", "Worker processes that there should be.");
    text.sample(status.workers_wanted);
    text.family(Kind::Gauge, "workers_min", "The fewest that --workers allows.");
    text.sample(status.workers_min);
    text.family(Kind::Gauge, "workers_max", "The most that --workers allows.");
    text.sample(status.workers_max);
    text.family(Kind::Gauge, "connection_slots", "Connections that all workers together can have open.");
    text.sample(number(status.connection_slots));
    text.family(Kind::Counter, "worker_deaths_total", "Workers that ended, by the cause.");
    for (std::size_t cause = 0; cause < death_causes; ++cause)
        text.sample(number(status.counts.deaths[cause]), {{"cause", death_cause_names[cause]}});
    text.family(Kind::Histogram, "worker_boot_seconds", "From the fork of a worker until it is ready.");
    tell_histogram(text, status.counts.worker_boot);
    text.family(Kind::Histogram, "handler_busy_seconds",
                "How long handler code keeps its thread, from one wait for a client to the next.");
    tell_histogram(text, status.counts.handler_busy);
}

void tell_handler(Exposition& text, const StatusReport& status) {
    for (const auto& [name, count] : status.counts.handler) {
        text.family(Kind::Counter, fmt::format("handler_{}_total", name), "Counted by the handler.");
        text.sample(number(count));
    }
}

/// While a generation leaves, two workers may have one number: the older one is of the past.
std::vector<const WorkerStatus*> newest_of_each_number(const std::vector<WorkerStatus>& workers) {
    std::map<int, const WorkerStatus*> newest;
    for (const WorkerStatus& each : workers) {
        const WorkerStatus*& known = newest[each.number];
        if (known == nullptr || each.generation > known->generation) known = &each;
    }
    std::vector<const WorkerStatus*> found;
    for (const auto& [number, worker] : newest) found.push_back(worker);
    return found;
}

void tell_workers(Exposition& text, const StatusReport& status) {
    std::chrono::nanoseconds cpu = status.counts.cpu;
    for (const WorkerStatus& worker : status.workers) cpu += worker.used.cpu.value_or(std::chrono::milliseconds{});
    text.family(Kind::Counter, "worker_cpu_seconds_total",
                "Processor time of all workers, those that have ended and their children included.");
    text.sample(seconds(cpu));
    const std::vector<const WorkerStatus*> workers = newest_of_each_number(status.workers);
    const auto each = [&](std::string_view name, std::string_view help, auto known) {
        text.family(Kind::Gauge, name, help);
        for (const WorkerStatus* const worker : workers)
            if (const std::optional<std::uint64_t> value = worker->used.*known)
                text.sample(number(*value), {{"worker", std::to_string(worker->number)}});
    };
    each("worker_resident_memory_bytes", "Resident memory of each worker.", &ProcessUse::resident_bytes);
    each("worker_open_fds", "Open descriptors of each worker.", &ProcessUse::open_descriptors);
}

/// Those that have counts, and the row of all others.
std::vector<const ListenerStatus*> counted(const StatusReport& status) {
    std::vector<const ListenerStatus*> listeners;
    for (const ListenerStatus& each : status.listeners)
        if (each.counts) listeners.push_back(&each);
    if (status.other_listeners) listeners.push_back(&*status.other_listeners);
    return listeners;
}

void tell_connections(Exposition& text, const StatusReport& status) {
    const std::vector<const ListenerStatus*> listeners = counted(status);
    const auto each = [&](Kind kind, std::string_view name, std::string_view help, auto value) {
        text.family(kind, name, help);
        for (const ListenerStatus* const listener : listeners)
            if (const std::optional<std::uint64_t> known = value(*listener))
                text.sample(number(*known), {{"listener", listener->endpoint}});
    };
    using Known = std::optional<std::uint64_t>;
    each(Kind::Gauge, "connections", "Open connections.",
         [](const ListenerStatus& listener) { return Known{listener.connections}; });
    each(Kind::Gauge, "connections_max",
         "The sum, over its workers, of the most that each had open within the last minute.",
         [](const ListenerStatus& listener) { return Known{listener.most_connections}; });
    each(Kind::Counter, "connections_accepted_total", "Connections that workers took from the queue, or datagrams.",
         [](const ListenerStatus& listener) { return Known{listener.counts->accepted}; });
    text.family(Kind::Counter, "connections_closed_total", "Connections that ended, by the outcome.");
    for (const ListenerStatus* const listener : listeners)
        for (std::size_t outcome = 0; outcome < connection_outcomes; ++outcome)
            text.sample(number(listener->counts->closed[outcome]),
                        {{"listener", listener->endpoint}, {"outcome", outcome_names[outcome]}});
    text.family(Kind::Histogram, "connection_duration_seconds", "From the accept of a connection to its end.");
    for (const ListenerStatus* const listener : listeners)
        tell_histogram(text, listener->counts->duration, {{"listener", listener->endpoint}});
    text.family(Kind::Histogram, "accept_wait_seconds",
                "How long connections were in the accept queue; of a sample, where the kernel tells.");
    for (const ListenerStatus* const listener : listeners)
        tell_histogram(text, listener->counts->accept_wait, {{"listener", listener->endpoint}});
    each(Kind::Counter, "received_bytes_total", "Bytes that handlers received.", [](const ListenerStatus& listener) {
        return listener.counts_traffic ? Known{listener.counts->received_bytes} : Known{};
    });
    each(Kind::Counter, "sent_bytes_total", "Bytes that handlers sent.", [](const ListenerStatus& listener) {
        return listener.counts_traffic ? Known{listener.counts->sent_bytes} : Known{};
    });
    each(Kind::Counter, "listener_dropped_total",
         "Attempts to connect, of which a client makes several, and datagrams that found the queue full.",
         [](const ListenerStatus& listener) { return listener.dropped; });
    text.family(Kind::Counter, "accept_errors_total", "Errors of accept(2), by their name.");
    for (const auto& [error, times] : status.counts.accept_errors) text.sample(number(times), {{"errno", error}});
}

void tell_queues(Exposition& text, const StatusReport& status) {
    const auto each = [&](std::string_view name, std::string_view help, auto value) {
        text.family(Kind::Gauge, name, help);
        for (const ListenerStatus& listener : status.listeners)
            if (const std::optional<std::uint64_t> known = value(listener.queue))
                text.sample(number(*known), {{"listener", listener.endpoint},
                                             {"unit", listener.queue.in_bytes ? "bytes" : "connections"}});
    };
    each("listener_queued", "What waits in the queue of a listener.",
         [](const QueueDepth& queue) { return queue.queued; });
    each("listener_queue_limit", "How much can wait in the queue of a listener.",
         [](const QueueDepth& queue) { return queue.limit; });
    text.family(Kind::Gauge, "listener_certificate_expiry_seconds",
                "When the first of its certificates expires, since 1970.");
    for (const ListenerStatus& listener : status.listeners)
        if (listener.certificate_expires_s)
            text.sample(static_cast<double>(*listener.certificate_expires_s), {{"listener", listener.endpoint}});
    text.family(Kind::Counter, "clients_refused_total", "Clients that a listener's rules refused, by the rule.");
    for (const ListenerStatus& listener : status.listeners)
        if (listener.refused)
            for (const auto& [reason, times] :
                 {std::pair{"denied", listener.refused->denied}, std::pair{"per_source", listener.refused->per_source},
                  std::pair{"rate", listener.refused->rate}})
                text.sample(number(times), {{"listener", listener.endpoint}, {"reason", reason}});
}

double parse_weight(std::string_view text) noexcept {
    double weight = 0;
    std::from_chars(text.data(), text.data() + text.size(), weight);
    return weight;
}

/// How much `accept` prefers `type`, from 0 (or not named) to 1.  Source: RFC 9110, 12.4.2 and 12.5.1
double preference(std::string_view accept, std::string_view type) {
    double most = 0;
    std::vector<std::string> kinds;
    for (const std::string& kind : boost::split(kinds, accept, boost::is_any_of(","))) {
        std::vector<std::string> words;
        boost::split(words, kind, boost::is_any_of(";"));
        for (std::string& word : words) boost::trim(word);
        if (!boost::iequals(words.front(), type)) continue;
        const auto weight =
            std::ranges::find_if(words, [](const std::string& word) { return boost::istarts_with(word, "q="); });
        most = std::max(most, weight == words.end() ? 1 : parse_weight(std::string_view{*weight}.substr(2)));
    }
    return most;
}

}  // namespace

MetricsFormat format_for(std::string_view accept) {
    const double open_metrics = preference(accept, "application/openmetrics-text");
    return open_metrics > 0 && open_metrics >= preference(accept, "text/plain") ? MetricsFormat::OpenMetrics
                                                                                : MetricsFormat::Prometheus;
}

std::string_view content_type(MetricsFormat format) noexcept {
    return format == MetricsFormat::OpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                                : "text/plain; version=0.0.4; charset=utf-8";
}

std::string metrics_text(const std::shared_ptr<const Snapshot>& snapshot, bool up, MetricsFormat format) {
    Exposition text{format};
    text.family(Kind::Gauge, "up", "Whether the master answers; where it does not, the rest is of when it last did.");
    text.sample(up ? 1 : 0);
    if (snapshot) {
        const StatusReport& status = snapshot->status;
        tell_daemon(text, status, up && !snapshot->why_not_ready);
        tell_pool(text, status);
        tell_connections(text, status);
        tell_queues(text, status);
        tell_workers(text, status);
        tell_handler(text, status);
    }
    return std::move(text).finish();
}

}  // namespace preforkd
