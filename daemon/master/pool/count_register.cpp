#include "daemon/master/pool/count_register.hpp"

#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>

#include "common/base/json_fields.hpp"
#include "common/base/shortage.hpp"
#include "common/base/version.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/process/probes.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

constexpr std::uint64_t most_open = 10'000'000;  // of one worker, which has a descriptor for each

/// A service that cannot count serves all the same.
std::unique_ptr<CountBoard> make_board(std::size_t workers) {
    try {
        return std::make_unique<CountBoard>(workers);
    } catch (const std::system_error& error) {
        log(LogLevel::Warning, "nothing is counted of listeners: {cause}", {{"cause", with_remedy(error)}});
        return nullptr;
    }
}

/// One that another version has laid out is left behind: its workers' counts begin anew.
std::unique_ptr<CountBoard> adopt_board(std::size_t workers, UniqueFd memory) {
    try {
        if (memory) return std::make_unique<CountBoard>(std::move(memory));
    } catch (const std::runtime_error&) {}  // a std::system_error, too
    return make_board(workers);
}

json::object counts_to_json(const ServiceCounts& counts) {
    json::object listeners;
    for (const auto& [endpoint, each] : counts.listeners) listeners[endpoint] = to_json_value(each);
    return {{"listeners", std::move(listeners)}, {"service", to_json_value(counts)}};
}

ServiceCounts counts_from(const json::value* value) {
    if (value == nullptr || !value->is_object()) return {};
    const json::object& object = value->get_object();
    ServiceCounts counts;
    if (const json::value* const service = object.if_contains("service")) counts = service_counts_from(*service);
    if (const json::value* const listeners = object.if_contains("listeners"); listeners && listeners->is_object())
        for (const auto& [endpoint, each] : listeners->get_object())
            counts.listeners[endpoint] = listener_counts_from(each);
    return counts;
}

/// In each stretch the larger.
MostOpen most_of_both(const MostOpen& one, const MostOpen& other) noexcept {
    const std::uint64_t current = std::max(one.stretch, other.stretch);
    const MostOpen a = one.moved_to(current);
    const MostOpen b = other.moved_to(current);
    return {.stretch = current, .most = std::max(a.most, b.most), .before = std::max(a.before, b.before)};
}

/// The clock goes on over an upgrade, and so do its stretches.
std::map<std::string, MostOpen, std::less<>> most_from(const json::value* value) {
    std::map<std::string, MostOpen, std::less<>> read;
    if (value == nullptr || !value->is_object()) return read;
    for (const auto& [endpoint, each] : value->get_object()) {
        if (!each.is_array() || each.get_array().size() != 3) continue;
        const auto number = [&](std::size_t at) {
            json::error_code none;
            return each.get_array()[at].to_number<std::uint64_t>(none);
        };
        read[endpoint] = {.stretch = number(0), .most = number(1), .before = number(2)};
    }
    return read;
}

/// Connections of a dead worker that nobody has seen end.
void cut_those_open(ListenerCounts& counts) {
    std::uint64_t closed = 0;
    for (const std::uint64_t each : counts.closed) closed += each;
    if (closed < counts.accepted)
        counts.closed[static_cast<std::size_t>(ConnectionOutcome::Cut)] += counts.accepted - closed;
}

}  // namespace

CountRegister::CountRegister(std::size_t workers) : board_{make_board(workers)} {}

CountRegister::CountRegister(std::size_t workers, UniqueFd memory, std::string_view text)
    : board_{adopt_board(workers, std::move(memory))} {
    json::error_code error;
    const json::value value = json::parse(text, error);
    if (error || !value.is_object()) return;
    const json::object& object = value.get_object();
    dead_ = counts_from(object.if_contains("dead"));
    told_ = counts_from(object.if_contains("told"));
    most_ = most_from(object.if_contains("most"));
    for (const json::value& each : JsonFields{value}.elements("rows")) {
        const JsonFields fields{each};
        std::vector<std::string> keys;
        for (const json::value& endpoint : fields.elements("endpoints"))
            keys.emplace_back(endpoint.is_string() ? std::string_view{endpoint.get_string()} : std::string_view{});
        keys.resize(std::min(keys.size(), listener_rows));
        keys_[fields.number<int>("generation")] = std::make_shared<const std::vector<std::string>>(std::move(keys));
    }
}

std::string CountRegister::to_text() const {
    json::array rows;
    for (const auto& [generation, keys] : keys_)
        rows.push_back(
            json::object{{"generation", generation}, {"endpoints", json::array(keys->begin(), keys->end())}});
    json::object most;
    for (const auto& [endpoint, each] : most_) most[endpoint] = json::array{each.stretch, each.most, each.before};
    return json::serialize(json::object{{"dead", counts_to_json(dead_)},
                                        {"told", counts_to_json(told_)},
                                        {"rows", std::move(rows)},
                                        {"most", std::move(most)}});
}

RowKeys CountRegister::keys_of(const Generation& generation) {
    RowKeys& keys = keys_[generation.number];
    if (keys) return keys;
    std::vector<std::string> endpoints;
    for (const Listener& listener : *generation.listeners)
        if (listener.queue == 0)  // those beside it count there
            endpoints.push_back(endpoints.size() < counted_listeners ? to_string(listener) : other_listeners);
    endpoints.resize(rows_for(endpoints.size()));
    return keys = std::make_shared<const std::vector<std::string>>(std::move(endpoints));
}

RowKeys CountRegister::keys_of(int generation) const {
    const auto found = keys_.find(generation);
    return found != keys_.end() ? found->second : std::make_shared<const std::vector<std::string>>();
}

std::span<const ListenerRow> CountRegister::rows_of(const WorkerEntry& worker) const noexcept {
    return board_ ? board_->rows(Scoreboard::page_of(worker.record_index)) : std::span<const ListenerRow>{};
}

void CountRegister::add_counts(ServiceCounts& sum, const WorkerEntry& worker, Clock::time_point now) {
    const PlausibleCounts most = plausible_for(now - worker.started);
    combine(sum.handler_busy, preforkd::counts_of(worker.record.handler_busy, most), sum_of);
    for (const auto& [error, count] : worker.record.accept_errors.read(most.events))
        if (const char* const name = ::strerrorname_np(error)) sum.accept_errors[name] += count;
    if (board_)
        combine(sum.handler,
                preforkd::counts_of(board_->handler_counts(Scoreboard::page_of(worker.record_index)), most), sum_of);
    const std::span<const ListenerRow> rows = rows_of(worker);
    for (std::size_t index = 0; index < std::min(rows.size(), worker.row_keys->size()); ++index)
        combine(sum.listeners[(*worker.row_keys)[index]], preforkd::counts_of(rows[index], most), sum_of);
}

std::map<std::string, MostOpen> CountRegister::most_of(const WorkerTable& workers, Clock::time_point now) const {
    const std::int64_t now_ns = now.time_since_epoch().count();
    std::map<std::string, MostOpen> sums;
    for (const WorkerEntry& worker : workers) {
        const std::span<const ListenerRow> rows = rows_of(worker);
        for (std::size_t index = 0; index < std::min(rows.size(), worker.row_keys->size()); ++index) {
            const MostOpen seen = rows[index].open.most_at(now_ns);
            MostOpen& sum = sums[(*worker.row_keys)[index]];
            sum.stretch = seen.stretch;
            sum.most += std::min(seen.most, most_open);
            sum.before += std::min(seen.before, most_open);
        }
    }
    return sums;
}

void CountRegister::keep_most(const WorkerTable& workers, Clock::time_point now) {
    for (const auto& [endpoint, most] : most_of(workers, now)) most_[endpoint] = most_of_both(most_[endpoint], most);
}

void CountRegister::add_death(const WorkerEntry& worker, const Death& death, Clock::time_point now) {
    const auto cause = static_cast<std::size_t>(cause_of(death, worker.record));
    const std::string name = death_cause_names[cause];  // a copy, see ProbeTexts
    probe::worker_exit(death.number, death.pid, name.c_str(), death.age.count());
    ++dead_.deaths[cause];
    dead_.cpu += processor_time_of(death);
    ServiceCounts counts;
    add_counts(counts, worker, now);
    for (auto& [endpoint, each] : counts.listeners) cut_those_open(each);
    combine(dead_, counts, sum_of);
    clear(Scoreboard::page_of(worker.record_index));
}

void CountRegister::add_reload(bool done, int generation) {
    probe::reload(done ? 1 : 0, generation);
    ++(done ? dead_.reloads.done : dead_.reloads.failed);
}

void CountRegister::add_upgrade(bool done) {
    const std::string running = version();  // a copy, see ProbeTexts
    probe::upgrade(done ? 1 : 0, running.c_str());
    ++(done ? dead_.upgrades.done : dead_.upgrades.failed);
}

void CountRegister::forget_removed(const WorkerTable& workers, const Generation& current, const Generation* next) {
    std::set<int> generations{current.number};
    std::set<std::string> endpoints;
    for (const std::string& key : *keys_of(current)) endpoints.insert(key);
    if (next != nullptr) {
        generations.insert(next->number);
        for (const std::string& key : *keys_of(*next)) endpoints.insert(key);
    }
    for (const WorkerEntry& worker : workers) {
        generations.insert(worker.generation);
        for (const std::string& key : *worker.row_keys) endpoints.insert(key);
    }
    std::erase_if(keys_, [&](const auto& each) { return !generations.contains(each.first); });
    for (ServiceCounts* const counts : {&dead_, &told_})
        std::erase_if(counts->listeners, [&](const auto& each) { return !endpoints.contains(each.first); });
    std::erase_if(most_, [&](const auto& each) { return !endpoints.contains(each.first); });
}

void CountRegister::describe(StatusReport& report, const WorkerTable& workers, Clock::time_point now) {
    std::map<std::string, std::uint64_t> open;
    std::map<std::string, std::chrono::milliseconds> pauses;  // of programs that get the socket
    ServiceCounts sum = dead_;
    for (const WorkerEntry& worker : workers) {
        add_counts(sum, worker, now);
        const std::span<const ListenerRow> rows = rows_of(worker);
        for (std::size_t index = 0; index < std::min(rows.size(), worker.row_keys->size()); ++index) {
            const std::string& key = (*worker.row_keys)[index];
            open[key] += std::min(rows[index].open.now.load(std::memory_order_relaxed), most_open);
            pauses[key] = std::max(pauses[key], program_pause(rows[index]));
        }
    }
    combine(told_, sum, larger_of);
    std::chrono::milliseconds living{};
    for (const WorkerStatus& worker : report.workers) living += worker.used.cpu.value_or(std::chrono::milliseconds{});
    told_.cpu = std::max(told_.cpu, sum.cpu + living);
    report.counts = told_;
    report.counts.cpu -= living;
    keep_most(workers, now);
    const std::uint64_t current = OpenConnections::stretch_at(now.time_since_epoch().count());
    const auto fill = [&](ListenerStatus& listener, const std::string& key) {
        listener.counts = told_.listeners[key];
        listener.connections = open[key];
        if (listener.program) listener.program->pause = pauses[key];
        listener.most_connections = most_[key].moved_to(current).lately();
    };
    for (std::size_t index = 0; index < std::min(report.listeners.size(), counted_listeners); ++index)
        fill(report.listeners[index], report.listeners[index].endpoint);
    if (report.listeners.size() <= counted_listeners) return;
    ListenerStatus& others = report.other_listeners.emplace(ListenerStatus{.endpoint = other_listeners});
    fill(others, other_listeners);
    for (const ListenerStatus& each : std::span{report.listeners}.subspan(counted_listeners))
        if (each.dropped) others.dropped = others.dropped.value_or(0) + *each.dropped;
}

}  // namespace preforkd
