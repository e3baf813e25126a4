#include "common/control/service_counts.hpp"

#include <algorithm>
#include <span>

#include "common/base/json_fields.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

using Merge = std::uint64_t (*)(std::uint64_t, std::uint64_t);

/// A number for each name.
json::object named(std::span<const char* const> names, std::span<const std::uint64_t> counts) {
    json::object object;
    for (std::size_t index = 0; index < names.size(); ++index) object[names[index]] = counts[index];
    return object;
}

void read_named(const json::value* value, std::span<const char* const> names, std::span<std::uint64_t> counts) {
    if (value == nullptr) return;
    const JsonFields fields{*value};
    for (std::size_t index = 0; index < names.size(); ++index)
        counts[index] = fields.number<std::uint64_t>(names[index]);
}

const json::value* field(const json::value& value, std::string_view name) {
    return value.is_object() ? value.get_object().if_contains(name) : nullptr;
}

std::map<std::string, std::uint64_t> numbers_from(const json::value* value) {
    std::map<std::string, std::uint64_t> numbers;
    if (value == nullptr || !value->is_object()) return numbers;
    for (const auto& [name, number] : value->get_object())
        numbers[name] = JsonFields{*value}.number<std::uint64_t>(name);
    return numbers;
}

HistogramCounts histogram_from(const json::value* value) {
    HistogramCounts histogram;
    if (value == nullptr) return histogram;
    const JsonFields fields{*value};
    histogram.sum_us = fields.number<std::uint64_t>("sum_us");
    const json::array& buckets = fields.elements("buckets");
    for (std::size_t index = 0; index < std::min(buckets.size(), histogram_buckets); ++index) {
        json::error_code error;
        const auto count = buckets[index].to_number<std::uint64_t>(error);
        if (!error) histogram.buckets[index] = count;
    }
    return histogram;
}

json::object attempts_to_json(const Attempts& attempts) {
    return {{"done", attempts.done}, {"failed", attempts.failed}};
}

Attempts attempts_from(const json::value* value) {
    if (value == nullptr) return {};
    const JsonFields fields{*value};
    return {.done = fields.number<std::uint64_t>("done"), .failed = fields.number<std::uint64_t>("failed")};
}

void combine(Attempts& into, const Attempts& from, Merge merge) {
    into.done = merge(into.done, from.done);
    into.failed = merge(into.failed, from.failed);
}

}  // namespace

void combine(HandlerCounts& into, const HandlerCounts& from, Merge merge) {
    for (const auto& [name, count] : from)
        if (into.size() < most_handler_counts || into.contains(name)) into[name] = merge(into[name], count);
}

void combine(ServiceCounts& into, const ServiceCounts& from, Merge merge) {
    for (const auto& [endpoint, counts] : from.listeners) combine(into.listeners[endpoint], counts, merge);
    for (const auto& [error, count] : from.accept_errors)
        into.accept_errors[error] = merge(into.accept_errors[error], count);
    combine(into.handler, from.handler, merge);
    combine(into.handler_busy, from.handler_busy, merge);
    std::ranges::transform(into.deaths, from.deaths, into.deaths.begin(), merge);
    combine(into.reloads, from.reloads, merge);
    combine(into.upgrades, from.upgrades, merge);
    combine(into.worker_boot, from.worker_boot, merge);
    into.cpu = std::chrono::milliseconds{
        merge(static_cast<std::uint64_t>(into.cpu.count()), static_cast<std::uint64_t>(from.cpu.count()))};
}

json::value to_json_value(const HistogramCounts& histogram) {
    return {{"buckets", json::array(histogram.buckets.begin(), histogram.buckets.end())}, {"sum_us", histogram.sum_us}};
}

json::value to_json_value(const ListenerCounts& counts) {
    json::object object{{"accepted", counts.accepted},
                        {"closed", named(outcome_names, counts.closed)},
                        {"received_bytes", counts.received_bytes},
                        {"sent_bytes", counts.sent_bytes},
                        {"duration", to_json_value(counts.duration)},
                        {"accept_wait", to_json_value(counts.accept_wait)}};
    if (counts.program_starts != 0) object["program_starts"] = counts.program_starts;
    return object;
}

ListenerCounts listener_counts_from(const json::value& value) {
    const JsonFields fields{value};
    ListenerCounts counts{.accepted = fields.number<std::uint64_t>("accepted"),
                          .received_bytes = fields.number<std::uint64_t>("received_bytes"),
                          .sent_bytes = fields.number<std::uint64_t>("sent_bytes"),
                          .duration = histogram_from(field(value, "duration")),
                          .accept_wait = histogram_from(field(value, "accept_wait")),
                          .program_starts = fields.number<std::uint64_t>("program_starts")};
    read_named(field(value, "closed"), outcome_names, counts.closed);
    return counts;
}

json::value to_json_value(const ServiceCounts& counts) {
    return {{"accept_errors", json::value_from(counts.accept_errors)},
            {"handler_counts", json::value_from(counts.handler)},
            {"handler_busy", to_json_value(counts.handler_busy)},
            {"deaths", named(death_cause_names, counts.deaths)},
            {"reloads", attempts_to_json(counts.reloads)},
            {"upgrades", attempts_to_json(counts.upgrades)},
            {"worker_boot", to_json_value(counts.worker_boot)},
            {"cpu_ms", counts.cpu.count()}};
}

ServiceCounts service_counts_from(const json::value& value) {
    const JsonFields fields{value};
    ServiceCounts counts{.handler_busy = histogram_from(field(value, "handler_busy")),
                         .reloads = attempts_from(field(value, "reloads")),
                         .upgrades = attempts_from(field(value, "upgrades")),
                         .worker_boot = histogram_from(field(value, "worker_boot")),
                         .cpu = std::max(fields.milliseconds("cpu_ms"), std::chrono::milliseconds{0})};
    read_named(field(value, "deaths"), death_cause_names, counts.deaths);
    counts.accept_errors = numbers_from(field(value, "accept_errors"));
    counts.handler = numbers_from(field(value, "handler_counts"));
    return counts;
}

}  // namespace preforkd
