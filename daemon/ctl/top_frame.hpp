#pragma once
// What `preforkctl top` shows.  Pure.
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "common/control/death_report.hpp"
#include "daemon/ctl/looks.hpp"

namespace preforkd {

/// 0: as many as it takes.
struct ScreenSize {
    std::size_t columns = 0;
    std::size_t rows = 0;
};

struct TopView {
    std::string clock{};    ///< what time it is
    std::string control{};  ///< whom it asks
    std::string trouble{};  ///< why there is no newer look; empty: this is how it is
    std::string event{};    ///< the last thing that happened to the daemon
    bool has_looked = false;
    bool has_rates = false;  ///< there was a look before, at the same daemon
    Looks looks{};
    DeathRing deaths{};
    std::chrono::sys_seconds now{};
};

struct FrameLine {
    std::string text{};
    bool is_title = false;
    friend bool operator==(const FrameLine&, const FrameLine&) = default;
};

/// Nothing in it is more than a terminal prints.
[[nodiscard]] std::vector<FrameLine> frame_of(const TopView& view, ScreenSize size);

/// What has happened to a daemon between two looks: `upgraded to 1.2.3`; nothing: empty.
[[nodiscard]] std::string event_between(const StatusReport& before, const StatusReport& now);

}  // namespace preforkd
