#include "daemon/master/pool/handover.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <stdexcept>

#include "common/base/json_fields.hpp"
#include "daemon/master/pool/handed_areas.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

std::int64_t ticks(Clock::time_point when) { return when.time_since_epoch().count(); }
Clock::time_point time_of(std::int64_t ticks) { return Clock::time_point{Clock::duration{ticks}}; }

json::value to_json(const std::optional<FileIdentity>& file) {
    if (!file) return nullptr;
    return json::object{{"device", file->device}, {"inode", file->inode}};
}

std::optional<FileIdentity> file_of(const json::object& object) {
    const json::value* file = object.if_contains("file");
    if (file == nullptr || !file->is_object()) return std::nullopt;
    const JsonFields fields{*file};
    return FileIdentity{.device = fields.number<dev_t>("device"), .inode = fields.number<ino_t>("inode")};
}

json::array texts_to_json(const std::vector<std::string>& texts) {
    json::array array;
    for (const std::string& text : texts) array.emplace_back(text);
    return array;
}

std::vector<std::string> texts_of(const json::array& array) {
    std::vector<std::string> texts;
    for (const json::value& value : array)
        if (value.is_string()) texts.emplace_back(value.get_string());
    return texts;
}

std::vector<std::uint64_t> numbers_of(const json::array& array) {
    std::vector<std::uint64_t> numbers;
    for (const json::value& value : array)
        if (value.is_number()) numbers.push_back(value.to_number<std::uint64_t>());
    return numbers;
}

json::array listeners_to_json(const std::vector<HandedListener>& listeners) {
    json::array array;
    for (const HandedListener& each : listeners)
        array.push_back(json::object{{"fd", each.fd},
                                     {"settings", each.settings},
                                     {"local", each.local},
                                     {"inherited", each.inherited},
                                     {"file", to_json(each.file)},
                                     {"passed_name", each.passed_name},
                                     {"sources", each.sources},
                                     {"refused", json::value_from(each.refused)},
                                     {"serves", static_cast<int>(each.serves)},
                                     {"order_lost", each.order_lost}});
    return array;
}

Serves serves_of(int number) {
    if (number < 0 || number > static_cast<int>(Serves::Agents))
        throw std::runtime_error{fmt::format("not understood: a listener that serves {}", number)};
    return static_cast<Serves>(number);
}

std::vector<HandedListener> listeners_of(const json::array& array) {
    std::vector<HandedListener> listeners;
    for (const json::value& value : array) {
        const JsonFields fields{value};
        listeners.push_back({.fd = fields.number<int>("fd"),
                             .settings = fields.text("settings"),
                             .local = fields.text("local"),
                             .inherited = fields.is_true("inherited"),
                             .file = file_of(value.as_object()),
                             .passed_name = fields.text("passed_name"),
                             .sources = fields.maybe<int>("sources").value_or(-1),
                             .refused = numbers_of(fields.elements("refused")),
                             .serves = serves_of(fields.number<int>("serves")),
                             .order_lost = fields.is_true("order_lost")});
    }
    return listeners;
}

json::object control_to_json(const HandedControl& control) {
    json::array waiting;
    for (const int fd : control.waiting) waiting.emplace_back(fd);
    json::array peers;
    for (const HandedPeer& each : control.peers)
        peers.push_back(json::object{{"fd", each.fd},
                                     {"heard", each.heard},
                                     {"unsent", each.unsent},
                                     {"last", each.last},
                                     {"waits_for_reload", each.waits_for_reload}});
    json::object object{{"fd", control.fd},
                        {"local", control.local},
                        {"file", to_json(control.file)},
                        {"waiting", waiting},
                        {"peers", peers}};
    if (control.setting) object["setting"] = *control.setting;
    if (control.name) object["name"] = *control.name;
    return object;
}

HandedControl control_of(const json::value& value) {
    const json::value* control = value.as_object().if_contains("control");
    if (control == nullptr || !control->is_object()) return {};
    const JsonFields fields{*control};
    HandedControl handed{
        .fd = fields.number<int>("fd"), .local = fields.text("local"), .file = file_of(control->as_object())};
    for (const json::value& fd : fields.elements("waiting"))
        if (fd.is_int64()) handed.waiting.push_back(static_cast<int>(fd.get_int64()));
    if (control->as_object().contains("setting")) handed.setting = fields.text("setting");
    if (control->as_object().contains("name")) handed.name = fields.text("name");
    for (const json::value& peer : fields.elements("peers")) {
        const JsonFields of_peer{peer};
        handed.peers.push_back({.fd = of_peer.number<int>("fd"),
                                .heard = of_peer.text("heard"),
                                .unsent = of_peer.text("unsent"),
                                .last = of_peer.is_true("last"),
                                .waits_for_reload = of_peer.is_true("waits_for_reload")});
    }
    return handed;
}

json::array pids_to_json(const std::vector<pid_t>& pids) {
    json::array array;
    for (const pid_t pid : pids) array.emplace_back(pid);
    return array;
}

std::vector<pid_t> pids_of(const json::array& array) {
    std::vector<pid_t> pids;
    for (const json::value& pid : array)
        if (pid.is_int64()) pids.push_back(static_cast<pid_t>(pid.get_int64()));
    return pids;
}

json::object log_to_json(const HandedLog& log) {
    return {{"reader", log.reader}, {"writer", log.writer}, {"processes", pids_to_json(log.processes)}};
}

HandedLog log_of(const json::value& value) {
    const json::value* log = value.as_object().if_contains("log");
    if (log == nullptr || !log->is_object()) return {};
    const JsonFields fields{*log};
    return {.reader = fields.maybe<int>("reader").value_or(-1),
            .writer = fields.maybe<int>("writer").value_or(-1),
            .processes = pids_of(fields.elements("processes"))};
}

/// As a worker of an image that did not say so, or of a later one that gives other orders.
DeathOrder order_of(const JsonFields& fields) {
    const int number = fields.number<int>("order");
    return number >= 0 && number <= static_cast<int>(last_death_order) ? static_cast<DeathOrder>(number)
                                                                       : DeathOrder::None;
}

json::object unsent_to_json(const UnsentOrders& unsent) {
    json::array closing;
    for (const std::uint32_t index : unsent.closing) closing.emplace_back(index);
    json::object object{{"closing", closing}, {"leave", unsent.leave}};
    if (unsent.finish_within) object["finish_within"] = *unsent.finish_within;
    return object;
}

UnsentOrders unsent_of(const json::value& worker) {
    const json::value* unsent = worker.is_object() ? worker.get_object().if_contains("unsent") : nullptr;
    if (unsent == nullptr) return {};
    const JsonFields fields{*unsent};
    UnsentOrders orders{.finish_within = fields.maybe<std::uint32_t>("finish_within"),
                        .leave = fields.is_true("leave")};
    for (const json::value& index : fields.elements("closing"))
        if (index.is_int64()) orders.closing.insert(static_cast<std::uint32_t>(index.get_int64()));
    return orders;
}

json::array workers_to_json(const std::vector<HandedWorker>& workers) {
    json::array array;
    for (const HandedWorker& each : workers)
        array.push_back(json::object{{"pid", each.pid},
                                     {"number", each.number},
                                     {"generation", each.generation},
                                     {"service", each.service},
                                     {"slot", each.slot},
                                     {"connections", each.connections},
                                     {"record", each.record},
                                     {"channel", each.orders},
                                     {"reports", each.reports},
                                     {"printed", each.printed},
                                     {"started", ticks(each.started)},
                                     {"state", static_cast<int>(each.state)},
                                     {"patience", each.patience ? json::value(ticks(*each.patience)) : nullptr},
                                     {"told", ticks(each.told)},
                                     {"runs_programs", each.runs_programs},
                                     {"hears_finish_time", each.hears_finish_time},
                                     {"stopped", each.stopped},
                                     {"order", static_cast<int>(each.order)},
                                     {"unsent", unsent_to_json(each.unsent)},
                                     {"signing_requests", each.signing_requests},
                                     {"signing_answers", each.signing_answers},
                                     {"key_process", each.key_process}});
    return array;
}

std::vector<HandedWorker> workers_of(const json::array& array) {
    std::vector<HandedWorker> workers;
    for (const json::value& value : array) {
        const JsonFields fields{value};
        const auto patience = fields.maybe<std::int64_t>("patience");
        workers.push_back({.pid = fields.number<pid_t>("pid"),
                           .number = fields.number<int>("number"),
                           .generation = fields.number<int>("generation"),
                           .service = fields.text("service"),
                           .slot = fields.maybe<int>("slot").value_or(0),
                           .connections = fields.number<std::size_t>("connections"),
                           .record = fields.number<std::size_t>("record"),
                           .orders = fields.number<int>("channel"),
                           .reports = fields.maybe<int>("reports").value_or(-1),
                           .printed = fields.maybe<int>("printed").value_or(-1),
                           .started = time_of(fields.number<std::int64_t>("started")),
                           .state = static_cast<WorkerEntry::State>(fields.number<int>("state")),
                           .patience = patience ? Deadline{time_of(*patience)} : Deadline{},
                           .told = time_of(fields.number<std::int64_t>("told")),
                           .runs_programs = fields.is_true("runs_programs"),
                           .hears_finish_time = fields.is_true("hears_finish_time"),
                           .stopped = fields.is_true("stopped"),
                           .order = order_of(fields),
                           .unsent = unsent_of(value),
                           .signing_requests = fields.maybe<int>("signing_requests").value_or(-1),
                           .signing_answers = fields.maybe<int>("signing_answers").value_or(-1),
                           .key_process = fields.number<pid_t>("key_process")});
    }
    return workers;
}

json::value totals_to_json(const std::optional<WorkerTotals>& totals) {
    if (!totals) return nullptr;
    return json::object{{"accepted", totals->accepted},
                        {"served", totals->served},
                        {"dropped_log_lines", totals->dropped_log_lines},
                        {"received_bytes", totals->received_bytes},
                        {"sent_bytes", totals->sent_bytes}};
}

std::optional<WorkerTotals> totals_of(const json::value& value) {
    const json::value* totals = value.as_object().if_contains("dead_workers");
    if (totals == nullptr || !totals->is_object()) return std::nullopt;
    const JsonFields fields{*totals};
    return WorkerTotals{.accepted = fields.number<std::uint64_t>("accepted"),
                        .served = fields.number<std::uint64_t>("served"),
                        .dropped_log_lines = fields.number<std::uint64_t>("dropped_log_lines"),
                        .received_bytes = fields.number<std::uint64_t>("received_bytes"),
                        .sent_bytes = fields.number<std::uint64_t>("sent_bytes")};
}

json::array cut_to_json(const std::vector<HandedCut>& cut) {
    json::array array;
    for (const HandedCut& each : cut)
        array.push_back(json::object{{"generation", each.generation}, {"connections", each.connections}});
    return array;
}

std::vector<HandedCut> cut_of(const json::array& array) {
    std::vector<HandedCut> cut;
    for (const json::value& value : array) {
        const JsonFields fields{value};
        cut.push_back({.generation = fields.number<int>("generation"),
                       .connections = fields.number<std::uint64_t>("connections")});
    }
    return cut;
}

json::array groups_to_json(const std::vector<HandedGroup>& groups) {
    json::array array;
    for (const HandedGroup& each : groups)
        array.push_back(json::object{{"group", each.group}, {"kill_at", ticks(each.kill_at)}});
    return array;
}

std::vector<HandedGroup> groups_of(const json::array& array) {
    std::vector<HandedGroup> groups;
    for (const json::value& value : array) {
        const JsonFields fields{value};
        groups.push_back(
            {.group = fields.number<pid_t>("group"), .kill_at = time_of(fields.number<std::int64_t>("kill_at"))});
    }
    return groups;
}

}  // namespace

std::string to_text(const Handover& handover) {
    json::object object{
        {"format", handover.format},
        {"purpose", static_cast<int>(handover.purpose)},
        {"version", handover.version},
        {"reason", handover.reason},
        {"arguments", texts_to_json(handover.arguments)},
        {"environment", texts_to_json(handover.environment)},
        {"executable", handover.executable},
        {"old_image", handover.old_image},
        {"descriptors_soft", handover.descriptor_limit.rlim_cur},
        {"descriptors_hard", handover.descriptor_limit.rlim_max},
        {"ticket_keys", handover.ticket_keys},
        {"config_text", handover.config_text ? json::value(*handover.config_text) : nullptr},
        {"started", ticks(handover.started)},
        {"generation", handover.generation},
        {"last_generation", handover.last_generation},
        {"workers", handover.workers},
        {"workers_ordered", handover.workers_ordered},
        {"workers_setting", handover.workers_setting},
        {"runs_copies", handover.runs_copies},
        {"connections", handover.connections},
        {"stop_timeout_ms", handover.stop_timeout.count()},
        {"worker_timeout_ms", handover.worker_timeout.count()},
        {"listeners", listeners_to_json(handover.listeners)},
        {"slots", handover.scoreboard},
        {"dead_workers", totals_to_json(handover.dead_workers)},
        {"workers_alive", workers_to_json(handover.workers_alive)},
        {"workers_to_come", handover.workers_to_come},
        {"groups", groups_to_json(handover.groups)},
        {"replaced", handover.replaced},
        {"log_lines_dropped", handover.dropped_log_lines},
        {"log", log_to_json(handover.log)},
        {"key_processes", pids_to_json(handover.key_processes)},
        {"cut", cut_to_json(handover.cut)},
        {"deaths", handover.deaths},
        {"count_memory", handover.count_memory},
        {"counts", handover.counts},
        {"areas", to_json(handover.areas)},
        {"control", control_to_json(handover.control)},
    };
    return json::serialize(object);
}

Handover parse_handover(std::string_view text) {
    json::error_code error;
    // Arguments, the environment and what a peer has sent are bytes in no encoding.
    const json::value value =
        json::parse(json::string_view{text.data(), text.size()}, error, {}, {.allow_invalid_utf8 = true});
    const JsonFields fields{value};
    const int format = error ? 0 : fields.number<int>("format");
    if (!common_format({.oldest = format, .newest = format}, known_formats))
        throw std::runtime_error{fmt::format("not understood: a handover of format {}; this version reads {} to {}",
                                             format, known_formats.oldest, known_formats.newest)};
    Handover handover{
        .format = format,
        .purpose = static_cast<Handover::Purpose>(fields.number<int>("purpose")),
        .version = fields.text("version"),
        .reason = fields.text("reason"),
        .arguments = texts_of(fields.elements("arguments")),
        .environment = texts_of(fields.elements("environment")),
        .executable = fields.text("executable"),
        .old_image = fields.number<int>("old_image"),
        .report = fields.maybe<int>("report").value_or(-1),
        .descriptor_limit = {.rlim_cur = fields.number<rlim_t>("descriptors_soft"),
                             .rlim_max = fields.number<rlim_t>("descriptors_hard")},
        .ticket_keys = fields.text("ticket_keys"),
        .started = time_of(fields.number<std::int64_t>("started")),
        .generation = fields.number<int>("generation"),
        .last_generation = fields.number<int>("last_generation"),
        .workers = fields.number<int>("workers"),
        .workers_ordered = fields.number<int>("workers_ordered"),
        .workers_setting = fields.text("workers_setting"),
        .runs_copies = fields.is_true("runs_copies"),
        .connections = fields.number<std::size_t>("connections"),
        .stop_timeout = fields.milliseconds("stop_timeout_ms"),
        .worker_timeout = fields.milliseconds("worker_timeout_ms"),
        .listeners = listeners_of(fields.elements("listeners")),
        .scoreboard = fields.number<int>("slots"),
        .dead_workers = totals_of(value),
        .workers_alive = workers_of(fields.elements("workers_alive")),
        .workers_to_come = fields.number<std::size_t>("workers_to_come"),
        .groups = groups_of(fields.elements("groups")),
        .replaced = fields.number<std::uint64_t>("replaced"),
        .dropped_log_lines = fields.number<std::uint64_t>("log_lines_dropped"),
        .log = log_of(value),
        .key_processes = pids_of(fields.elements("key_processes")),
        .cut = cut_of(fields.elements("cut")),
        .deaths = fields.text("deaths"),
        .count_memory = fields.maybe<int>("count_memory").value_or(-1),
        .counts = fields.text("counts"),
        .areas = areas_of(fields.elements("areas")),
        .control = control_of(value),
    };
    if (const json::value* config = value.as_object().if_contains("config_text"); config && config->is_string())
        handover.config_text = fields.text("config_text");
    return handover;
}

}  // namespace preforkd
