#pragma once
// Memory that workers share with each other, in the text of a handover.
#include <vector>

#include "common/base/json_fields.hpp"
#include "daemon/master/pool/handover.hpp"

namespace preforkd {

[[nodiscard]] inline boost::json::array to_json(const std::vector<HandedArea>& areas) {
    boost::json::array array;
    for (const HandedArea& each : areas)
        array.push_back(boost::json::object{{"memory", each.memory}, {"wakeup", each.wakeup}});
    return array;
}

[[nodiscard]] inline std::vector<HandedArea> areas_of(const boost::json::array& array) {
    std::vector<HandedArea> areas;
    for (const boost::json::value& value : array) {
        const JsonFields fields{value};
        areas.push_back(
            {.memory = fields.maybe<int>("memory").value_or(-1), .wakeup = fields.maybe<int>("wakeup").value_or(-1)});
    }
    return areas;
}

}  // namespace preforkd
