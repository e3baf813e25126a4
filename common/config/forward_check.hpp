#pragma once
// What contradicts what about the handler `forward`.  Pure.
#include <functional>
#include <string>

#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// Throws OperatorError, which blames who said it.  `forwards`: whether the handler of that name is `forward`.
void check_forwarding(const Settings& settings, const Origins& origins,
                      const std::function<bool(const std::string& handler)>& forwards);

/// What `listener` forwards with: what it says itself, and else --to.
[[nodiscard]] inline ForwardSettings forward_at(const ListenSettings& listener, const Settings& settings) {
    ForwardSettings forward = listener.forward;
    if (forward.to.empty()) forward.to = settings.to;
    return forward;
}

}  // namespace preforkd
