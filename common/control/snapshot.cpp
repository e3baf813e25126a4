#include "common/control/snapshot.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <stdexcept>

#include "common/base/json_fields.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

std::string part_of(const json::value& value, std::string_view name) {
    const json::value* part = value.is_object() ? value.get_object().if_contains(name) : nullptr;
    return part == nullptr ? std::string{"null"} : json::serialize(*part);
}

}  // namespace

void leave_details_out(Snapshot& snapshot) {
    for (WorkerStatus& worker : snapshot.status.workers) worker.last_error = worker.last_peer = std::string{};
    snapshot.status.reload_failure = std::string{};  // it may name files
    DeathRing deaths;
    for (DeathReport death : snapshot.deaths.all()) {
        death.last_error = death.last_peer = std::string{};
        deaths.add(std::move(death));
    }
    snapshot.deaths = std::move(deaths);
}

std::string to_json(const Snapshot& snapshot) {
    const json::value reason = snapshot.why_not_ready ? json::value(*snapshot.why_not_ready) : json::value(nullptr);
    return fmt::format(R"({{"not_ready":{},"status":{},"deaths":{}}})", json::serialize(reason),
                       to_json(snapshot.status), to_json(snapshot.deaths));
}

Snapshot parse_snapshot(std::string_view text) {
    json::error_code error;
    const json::value value = json::parse(json::string_view{text.data(), text.size()}, error);
    if (error || !value.is_object()) throw std::runtime_error{"the snapshot is no JSON object"};
    const std::string reason = JsonFields{value}.text("not_ready");
    return {.why_not_ready = reason.empty() ? std::nullopt : std::optional{reason},
            .status = parse_status(part_of(value, "status")),
            .deaths = parse_deaths(part_of(value, "deaths"))};
}

}  // namespace preforkd
