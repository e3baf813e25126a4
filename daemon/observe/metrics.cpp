#include "daemon/observe/metrics.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "daemon/observe/exposition.hpp"

namespace preforkd {

namespace {

using Kind = Exposition::Kind;

constexpr double milliseconds_a_second = 1000;

double number(std::uint64_t value) { return static_cast<double>(value); }

void tell_daemon(Exposition& text, const StatusReport& status, bool ready) {
    text.family(Kind::Info, "build_info", "Which version runs; always 1.");
    text.sample(1, {{"version", status.version}});
    text.family(Kind::Gauge, "ready", "Whether it wants to be sent clients, as preforkctl ready tells.");
    text.sample(ready ? 1 : 0);
    text.family(Kind::Gauge, "start_time_seconds", "When the daemon was started, since 1970.");
    text.sample(static_cast<double>(status.started_s));
    text.family(Kind::Gauge, "generation", "Number of the current generation of workers; a reload raises it.");
    text.sample(number(status.generation));
}

void tell_pool(Exposition& text, const StatusReport& status) {
    constexpr std::array states{"starting", "idle", "busy", "waiting", "retiring", "leaving", "hung", "stopped"};
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
    text.family(Kind::Gauge, "connection_slots", "Connections that the workers can have open at once.");
    text.sample(number(status.connection_slots));
}

void tell_queues(Exposition& text, const StatusReport& status) {
    text.family(Kind::Gauge, "listener_queued", "What waits in the queue of a listener.");
    for (const ListenerStatus& each : status.listeners)
        if (each.queue.queued)
            text.sample(number(*each.queue.queued),
                        {{"listener", each.endpoint}, {"unit", each.queue.in_bytes ? "bytes" : "connections"}});
    text.family(Kind::Gauge, "listener_queue_limit", "How much can wait in the queue of a listener.");
    for (const ListenerStatus& each : status.listeners)
        if (each.queue.limit)
            text.sample(number(*each.queue.limit),
                        {{"listener", each.endpoint}, {"unit", each.queue.in_bytes ? "bytes" : "connections"}});
}

void tell_log(Exposition& text, const StatusReport& status) {
    text.family(Kind::Counter, "log_lines_dropped_total", "Lines of the log that could not be written.");
    text.sample(number(status.dropped_log_lines));
}

/// Of parameters of a media type none matters here.
bool asks_for_open_metrics(std::string_view accept) noexcept {
    return accept.find("application/openmetrics-text") != std::string_view::npos;
}

}  // namespace

MetricsFormat format_for(std::string_view accept) noexcept {
    return asks_for_open_metrics(accept) ? MetricsFormat::OpenMetrics : MetricsFormat::Prometheus;
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
        tell_queues(text, status);
        tell_log(text, status);
    }
    return std::move(text).finish();
}

}  // namespace preforkd
