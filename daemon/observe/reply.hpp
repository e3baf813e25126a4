#pragma once
// What is answered to whom: pure, but for the time.
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/control/snapshot.hpp"

namespace preforkd {

/// What is known of the master.
struct Look {
    std::shared_ptr<const Snapshot> fresh{};  ///< null: it does not answer
    std::shared_ptr<const Snapshot> last{};   ///< of whatever age
    Clock::duration silence{};                ///< for how long it has owed an answer
};

struct Reply {
    unsigned status = 200;
    std::string_view type = "text/plain; charset=utf-8";
    std::string body{};
};

/// What a request is for, by its path.
enum class Route { Metrics, Health, Readiness, Status, PageData, Page, Style, Script, Unknown };

[[nodiscard]] Route route_of(std::string_view path) noexcept;

/// Whether the master has to be asked first.
[[nodiscard]] constexpr bool needs_master(Route route) noexcept {
    return route == Route::Metrics || route == Route::Readiness || route == Route::Status || route == Route::PageData;
}

/// `accept`: the header of the request, by which OpenMetrics is asked for.
[[nodiscard]] Reply reply_to(Route route, std::string_view accept, const Look& look);

/// How long the master may owe an answer before it counts as dead: a liveness probe kills what it is told of, and must
/// not kill a container that upgrades, or is short of processor time for a moment.
inline constexpr std::chrono::seconds dead_after{10};

}  // namespace preforkd
