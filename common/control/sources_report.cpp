#include "common/control/sources_report.hpp"

#include "common/base/json_fields.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

json::object object_of(const ListenerSources& listener) {
    json::array sources;
    for (const SourceReport& each : listener.sources)
        sources.push_back(
            json::object{{"source", each.source}, {"connections", each.connections}, {"refused", each.refused}});
    return {{"endpoint", listener.endpoint}, {"sources", std::move(sources)}};
}

ListenerSources sources_from(const json::value& value) {
    const JsonFields fields{value};
    ListenerSources listener{.endpoint = fields.text("endpoint")};
    for (const json::value& each : fields.elements("sources")) {
        const JsonFields source{each};
        listener.sources.push_back({.source = source.text("source"),
                                    .connections = source.number<std::uint64_t>("connections"),
                                    .refused = source.number<std::uint64_t>("refused")});
    }
    return listener;
}

}  // namespace

std::string to_json(const std::vector<ListenerSources>& listeners) {
    json::array array;
    for (const ListenerSources& each : listeners) array.push_back(object_of(each));
    return json::serialize(array);
}

std::vector<ListenerSources> parse_sources(std::string_view text) {
    const json::value value = parse_json(text, "the sources are");
    std::vector<ListenerSources> listeners;
    if (const json::array* array = value.if_array())
        for (const json::value& each : *array) listeners.push_back(sources_from(each));
    return listeners;
}

}  // namespace preforkd
