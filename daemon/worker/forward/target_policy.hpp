#pragma once
// Which target the next client is sent to.  Pure.
#include <cstddef>
#include <vector>

#include "common/base/clock.hpp"

namespace preforkd {

/// For how long nobody is sent to a target that has failed, while another takes clients.
/// Source: fail_timeout of nginx, whose default it is.
inline constexpr std::chrono::seconds rest_of_failed{10};

/// In which order targets are tried for a client, by their numbers.  `turn`: how many clients came before.
/// `resting_until`: of each target, unset where it has not failed.  Those that rest come last, since they are better
/// than none.
[[nodiscard]] inline std::vector<std::size_t> order_of_targets(std::size_t turn,
                                                               const std::vector<Deadline>& resting_until,
                                                               Clock::time_point now) {
    std::vector<std::size_t> order;
    for (const bool rests : {false, true})
        for (std::size_t i = 0; i < resting_until.size(); ++i) {
            const std::size_t target = (turn + i) % resting_until.size();
            const bool is_resting = resting_until[target] && !has_passed(resting_until[target], now);
            if (is_resting == rests) order.push_back(target);
        }
    return order;
}

}  // namespace preforkd
