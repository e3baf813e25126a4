#include "common/control/death_report.hpp"

#include "common/base/json_fields.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

json::object object_of(const DeathReport& death) {
    return {{"time", death.time},
            {"number", death.number},
            {"pid", death.pid},
            {"generation", or_null(death.generation)},
            {"cause", death.cause},
            {"ordered_by", death.ordered_by},
            {"expected", death.expected},
            {"out_of_memory", death.out_of_memory},
            {"age_ms", death.age.count()},
            {"served", or_null(death.served)},
            {"last_peer", or_null(death.last_peer)},
            {"last_error", or_null(death.last_error)},
            {"user_ms", death.used.user.count()},
            {"system_ms", death.used.system.count()},
            {"max_rss_bytes", death.used.max_rss_bytes},
            {"major_faults", death.used.major_faults},
            {"voluntary_switches", death.used.voluntary_switches},
            {"involuntary_switches", death.used.involuntary_switches}};
}

DeathReport death_from(const json::value& value) {
    const JsonFields fields{value};
    return {.time = fields.text("time"),
            .number = fields.number<int>("number"),
            .pid = fields.number<int>("pid"),
            .generation = fields.maybe<std::uint64_t>("generation"),
            .cause = fields.text("cause"),
            .ordered_by = fields.text("ordered_by"),
            .expected = fields.is_true("expected"),
            .out_of_memory = fields.is_true("out_of_memory"),
            .age = fields.milliseconds("age_ms"),
            .served = fields.maybe<std::uint64_t>("served"),
            .last_peer = fields.text("last_peer"),
            .last_error = fields.text("last_error"),
            .used = {.user = fields.milliseconds("user_ms"),
                     .system = fields.milliseconds("system_ms"),
                     .max_rss_bytes = fields.number<std::uint64_t>("max_rss_bytes"),
                     .major_faults = fields.number<std::uint64_t>("major_faults"),
                     .voluntary_switches = fields.number<std::uint64_t>("voluntary_switches"),
                     .involuntary_switches = fields.number<std::uint64_t>("involuntary_switches")}};
}

}  // namespace

std::string to_json(const DeathRing& deaths) {
    json::array array;
    for (const DeathReport& death : deaths.all()) array.push_back(object_of(death));
    return json::serialize(array);
}

DeathRing parse_deaths(std::string_view text) {
    const json::value value = parse_json(text, "the deaths are");
    DeathRing deaths;
    if (const json::array* array = value.if_array())
        for (const json::value& each : *array) deaths.add(death_from(each));
    return deaths;
}

}  // namespace preforkd
