#include "daemon/master/pool/shared_areas.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/channel/bus_waker.hpp"

namespace preforkd {
namespace {

constexpr std::size_t most_unknown = 8;  // what back and forth between versions may leave

/// nullptr: `descriptors` are none that this version knows, and are left.
template <class Area, class... Descriptors>
std::unique_ptr<Area> read_area(Descriptors&... descriptors) {
    try {
        return std::make_unique<Area>(descriptors...);
    } catch (const std::runtime_error&) { return nullptr; }  // a std::system_error, too
}

/// That of `user`, which is made if there is none.
template <class Area, class... Size>
Area& area_of(std::vector<std::unique_ptr<Area>>& areas, uid_t user, Size... size) {
    const auto found = std::ranges::find(areas, user, [](const auto& area) { return area->owner(); });
    return found != areas.end() ? **found : *areas.emplace_back(std::make_unique<Area>(user, size...));
}

}  // namespace

void SharedAreas::adopt(const std::vector<HandedArea>& handed) {
    for (const HandedArea& each : handed) {
        Unknown area{.memory = UniqueFd{each.memory}, .wakeup = UniqueFd{each.wakeup}};
        if (auto memory = read_area<SharedMemory>(area.memory))
            memories_.push_back(std::move(memory));
        else if (auto bus = read_area<BusMemory>(area.memory, area.wakeup))
            buses_.push_back(std::move(bus));
        else if (area.memory)
            unknown_.push_back(std::move(area));
    }
    if (unknown_.size() > most_unknown) unknown_.erase(unknown_.begin(), unknown_.end() - most_unknown);
}

std::vector<HandedArea> SharedAreas::describe() const {
    std::vector<HandedArea> handed;
    for (const Unknown& each : unknown_) handed.push_back({.memory = each.memory.get(), .wakeup = each.wakeup.get()});
    for (const auto& each : memories_) handed.push_back({.memory = each->memory_fd()});
    for (const auto& each : buses_) handed.push_back({.memory = each->memory_fd(), .wakeup = each->wakeup_fd()});
    return handed;
}

SharedEnds SharedAreas::ends_for(const SharedUse& use, std::size_t place) {
    return ends_of(use.memory ? &area_of(memories_, use.user) : nullptr,
                   use.bus ? &area_of(buses_, use.user, most_records) : nullptr, place);
}

void SharedAreas::tidy(const WorkerTable& workers, const Generation& current, const Generation* next) {
    // What the worker has published last, it may not have woken anybody for.
    for (const auto& each : buses_) wake_readers(each->wakeup_fd());
    // An image that has just taken another's place knows of its workers neither the user nor what they use.
    if ((memories_.empty() && buses_.empty()) || next != nullptr || !current.body) return;
    if (std::ranges::any_of(workers, [&](const auto& each) { return each.generation != current.number; })) return;
    const auto is_another_user_s = [&](const auto& area) {
        for (std::size_t service = 0; service < count_services(current.pool); ++service)
            if (service_at(current.pool, service).shared.user == area->owner()) return false;
        return true;
    };
    std::erase_if(memories_, is_another_user_s);
    std::erase_if(buses_, is_another_user_s);
    for (const auto& each : memories_) each->forget_superseded(current.number);
}

}  // namespace preforkd
