#include "common/control/status_report.hpp"

#include "common/base/json_fields.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

json::value refused_to_json(const std::optional<RefusedClients>& refused) {
    if (!refused) return nullptr;
    return json::object{{"denied", refused->denied}, {"per_source", refused->per_source}, {"rate", refused->rate}};
}

std::optional<RefusedClients> refused_from(const json::value& listener) {
    const json::value* refused = listener.is_object() ? listener.get_object().if_contains("refused") : nullptr;
    if (refused == nullptr || !refused->is_object()) return std::nullopt;
    const JsonFields fields{*refused};
    return RefusedClients{.denied = fields.number<std::uint64_t>("denied"),
                          .per_source = fields.number<std::uint64_t>("per_source"),
                          .rate = fields.number<std::uint64_t>("rate")};
}

json::value key_process_to_json(const std::optional<KeyProcessStatus>& keys) {
    if (!keys) return nullptr;
    if (keys->pid == 0) return json::object{{"pid", nullptr}};
    return json::object{{"pid", keys->pid}, {"uid", keys->user}, {"own_uid", keys->has_own_user}};
}

std::optional<KeyProcessStatus> key_process_from(const json::value& report) {
    const json::value* keys = report.is_object() ? report.get_object().if_contains("key_process") : nullptr;
    if (keys == nullptr || !keys->is_object()) return std::nullopt;
    const JsonFields fields{*keys};
    return KeyProcessStatus{.pid = fields.number<int>("pid"),
                            .user = fields.number<std::uint64_t>("uid"),
                            .has_own_user = fields.is_true("own_uid")};
}

json::value limits_to_json(const std::optional<LimitedClients>& limits) {
    if (!limits) return nullptr;
    return json::object{{"max", or_null(limits->max)},
                        {"clients", or_null(limits->clients)},
                        {"per_source", or_null(limits->per_source)},
                        {"rate", or_null(limits->rate)}};
}

std::optional<LimitedClients> limits_from(const json::value& listener) {
    const json::value* limits = listener.is_object() ? listener.get_object().if_contains("limits") : nullptr;
    if (limits == nullptr || !limits->is_object()) return std::nullopt;
    const JsonFields fields{*limits};
    return LimitedClients{.max = fields.maybe<std::uint64_t>("max"),
                          .clients = fields.maybe<std::uint64_t>("clients"),
                          .per_source = fields.maybe<std::uint64_t>("per_source"),
                          .rate = fields.maybe<std::uint64_t>("rate")};
}

json::value program_to_json(const std::optional<ProgramStarts>& program) {
    if (!program) return nullptr;
    return {{"starts", program->starts}, {"pause_ms", program->pause.count()}};
}

std::optional<ProgramStarts> program_from(const json::value& listener) {
    const json::value* const program = listener.is_object() ? listener.get_object().if_contains("program") : nullptr;
    if (program == nullptr || !program->is_object()) return std::nullopt;
    const JsonFields fields{*program};
    return ProgramStarts{.starts = fields.number<std::uint64_t>("starts"), .pause = fields.milliseconds("pause_ms")};
}

/// What is counted of a listener, if anything is.
void add_counts(json::object& object, const ListenerStatus& listener) {
    object["connections"] = listener.connections;
    object["connections_most"] = listener.most_connections;
    object["dropped"] = or_null(listener.dropped);
    json::value counts = to_json_value(listener.counts.value_or(ListenerCounts{}));
    for (auto& [name, value] : counts.get_object()) object[name] = std::move(value);
    if (listener.counts_traffic) return;
    object["received_bytes"] = nullptr;
    object["sent_bytes"] = nullptr;
}

void read_counts(ListenerStatus& listener, const json::value& value) {
    const JsonFields fields{value};
    listener.connections = fields.number<std::uint64_t>("connections");
    listener.most_connections = fields.number<std::uint64_t>("connections_most");
    listener.dropped = fields.maybe<std::uint64_t>("dropped");
    listener.counts_traffic = fields.maybe<std::uint64_t>("received_bytes").has_value();
    if (fields.maybe<std::uint64_t>("accepted")) listener.counts = listener_counts_from(value);
}

json::object object_of(const ListenerStatus& listener) {
    json::object object{{"endpoint", listener.endpoint},
                        {"handler", listener.handler},
                        {"passed", listener.passed},
                        {"lost", listener.lost},
                        {"queued", or_null(listener.queue.queued)},
                        {"queue_limit", or_null(listener.queue.limit)},
                        {"queue_unit", listener.queue.in_bytes ? "bytes" : "connections"},
                        {"queues", listener.queues},
                        {"certificate_expires_s", or_null(listener.certificate_expires_s)},
                        {"limits", limits_to_json(listener.limits)},
                        {"refused", refused_to_json(listener.refused)},
                        {"program", program_to_json(listener.program)}};
    if (listener.counts) add_counts(object, listener);
    return object;
}

ListenerStatus listener_from(const json::value& value) {
    const JsonFields fields{value};
    ListenerStatus listener{.endpoint = fields.text("endpoint"),
                            .handler = fields.text("handler"),
                            .passed = fields.is_true("passed"),
                            .lost = fields.is_true("lost"),
                            .queue = {.queued = fields.maybe<std::uint64_t>("queued"),
                                      .limit = fields.maybe<std::uint64_t>("queue_limit"),
                                      .in_bytes = fields.text("queue_unit") == "bytes"},
                            .queues = fields.maybe<std::uint64_t>("queues").value_or(1),
                            .certificate_expires_s = fields.maybe<std::int64_t>("certificate_expires_s"),
                            .limits = limits_from(value),
                            .refused = refused_from(value),
                            .program = program_from(value)};
    read_counts(listener, value);
    return listener;
}

json::object object_of(const WorkerStatus& worker, const json::storage_ptr& memory) {
    const json::value leaving_ms = worker.leaving_for ? json::value(worker.leaving_for->count()) : json::value(nullptr);
    return json::object({{"number", worker.number},
                         {"pid", worker.pid},
                         {"program_pid", or_null(worker.program_pid)},
                         {"generation", or_null(worker.generation)},
                         {"service", or_null(worker.service)},
                         {"state", worker.state},
                         {"state_ms", worker.since.count()},
                         {"age_ms", worker.age.count()},
                         {"leaving_ms", leaving_ms},
                         {"connections", worker.connections},
                         {"connection_slots", or_null(worker.connection_slots)},
                         {"connections_ever", worker.accepted},
                         {"served", worker.served},
                         {"received_bytes", or_null(worker.received_bytes)},
                         {"sent_bytes", or_null(worker.sent_bytes)},
                         {"last_error", or_null(worker.last_error)},
                         {"last_peer", or_null(worker.last_peer)},
                         {"program_status", or_null(worker.program_status)},
                         {"cpu_ms", worker.used.cpu ? json::value(worker.used.cpu->count()) : json::value(nullptr)},
                         {"resident_bytes", or_null(worker.used.resident_bytes)},
                         {"open_descriptors", or_null(worker.used.open_descriptors)}},
                        memory);
}

WorkerStatus worker_from(const json::value& value) {
    const JsonFields fields{value};
    const auto cpu_ms = fields.maybe<std::int64_t>("cpu_ms");
    const auto leaving_ms = fields.maybe<std::int64_t>("leaving_ms");
    return {.number = fields.number<int>("number"),
            .pid = fields.number<int>("pid"),
            .program_pid = fields.maybe<std::uint64_t>("program_pid"),
            .generation = fields.maybe<std::uint64_t>("generation"),
            .service = fields.text("service"),
            .state = fields.text("state"),
            .since = fields.milliseconds("state_ms"),
            .age = fields.milliseconds("age_ms"),
            .leaving_for = leaving_ms ? std::optional{std::chrono::milliseconds{*leaving_ms}} : std::nullopt,
            .connections = fields.number<std::uint64_t>("connections"),
            .connection_slots = fields.maybe<std::uint64_t>("connection_slots"),
            .accepted = fields.number<std::uint64_t>("connections_ever"),
            .served = fields.number<std::uint64_t>("served"),
            .received_bytes = fields.maybe<std::uint64_t>("received_bytes"),
            .sent_bytes = fields.maybe<std::uint64_t>("sent_bytes"),
            .last_error = fields.text("last_error"),
            .last_peer = fields.text("last_peer"),
            .program_status = fields.text("program_status"),
            .used = {.cpu = cpu_ms ? std::optional{std::chrono::milliseconds{*cpu_ms}} : std::nullopt,
                     .resident_bytes = fields.maybe<std::uint64_t>("resident_bytes"),
                     .open_descriptors = fields.maybe<std::uint64_t>("open_descriptors")}};
}

json::value other_to_json(const std::optional<ListenerStatus>& others) {
    if (!others) return nullptr;
    json::object object;
    add_counts(object, *others);
    return object;
}

std::optional<ListenerStatus> other_from(const json::value& report) {
    const json::value* const others = report.is_object() ? report.get_object().if_contains("other_listeners") : nullptr;
    if (others == nullptr || !others->is_object()) return std::nullopt;
    ListenerStatus listener{.endpoint = other_listeners};
    read_counts(listener, *others);
    return listener;
}

json::array bounds_in_us() {
    json::array bounds;
    for (const std::chrono::nanoseconds bound : histogram_bounds) bounds.emplace_back(microseconds_of(bound));
    return bounds;
}

}  // namespace

std::string to_json(const StatusReport& report) {
    json::array listeners;
    for (const ListenerStatus& listener : report.listeners) listeners.push_back(object_of(listener));
    // Of hundreds of workers there are thousands of values, which go all at once.
    json::monotonic_resource memory;
    json::array workers(&memory);
    workers.reserve(report.workers.size());
    for (const WorkerStatus& worker : report.workers) workers.push_back(object_of(worker, &memory));
    json::object object({{"version", report.version},
                         {"pid", report.pid},
                         {"phase", report.phase},
                         {"uptime_ms", report.uptime.count()},
                         {"generation", report.generation},
                         {"started_s", report.started_s},
                         {"workers_wanted", report.workers_wanted},
                         {"workers_min", report.workers_min},
                         {"workers_max", report.workers_max},
                         {"model", report.model},
                         {"processors", report.processors},
                         {"connection_slots", report.connection_slots},
                         {"connection_slots_asked", report.connection_slots_asked},
                         {"connections", report.connections},
                         {"connections_ever", report.accepted},
                         {"served", report.served},
                         {"received_bytes", or_null(report.received_bytes)},
                         {"sent_bytes", or_null(report.sent_bytes)},
                         {"workers_replaced", report.replaced},
                         {"log_lines_dropped", report.dropped_log_lines},
                         {"reload_failure", or_null(report.reload_failure)},
                         {"key_process", key_process_to_json(report.key_process)},
                         {"listeners", std::move(listeners)},
                         {"other_listeners", other_to_json(report.other_listeners)},
                         {"workers", std::move(workers)}},
                        &memory);
    json::value counts = to_json_value(report.counts);
    for (auto& [name, value] : counts.get_object()) object[name] = std::move(value);
    object["histogram_bounds_us"] = bounds_in_us();
    return json::serialize(object);
}

StatusReport parse_status(std::string_view text) {
    const json::value value = parse_json(text, "the status is");
    const JsonFields fields{value};
    StatusReport report{.version = fields.text("version"),
                        .pid = fields.number<int>("pid"),
                        .phase = fields.text("phase"),
                        .uptime = fields.milliseconds("uptime_ms"),
                        .started_s = fields.number<std::int64_t>("started_s"),
                        .generation = fields.number<std::uint64_t>("generation"),
                        .workers_wanted = fields.number<int>("workers_wanted"),
                        .workers_min = fields.number<int>("workers_min"),
                        .workers_max = fields.number<int>("workers_max"),
                        .model = fields.text("model"),
                        .processors = fields.number<int>("processors"),
                        .connection_slots = fields.number<std::uint64_t>("connection_slots"),
                        .connection_slots_asked = fields.number<std::uint64_t>("connection_slots_asked"),
                        .connections = fields.number<std::uint64_t>("connections"),
                        .accepted = fields.number<std::uint64_t>("connections_ever"),
                        .served = fields.number<std::uint64_t>("served"),
                        .received_bytes = fields.maybe<std::uint64_t>("received_bytes"),
                        .sent_bytes = fields.maybe<std::uint64_t>("sent_bytes"),
                        .replaced = fields.number<std::uint64_t>("workers_replaced"),
                        .dropped_log_lines = fields.number<std::uint64_t>("log_lines_dropped"),
                        .reload_failure = fields.text("reload_failure"),
                        .key_process = key_process_from(value),
                        .other_listeners = other_from(value),
                        .counts = service_counts_from(value)};
    for (const json::value& each : fields.elements("listeners")) report.listeners.push_back(listener_from(each));
    for (const json::value& each : fields.elements("workers")) report.workers.push_back(worker_from(each));
    return report;
}

}  // namespace preforkd
