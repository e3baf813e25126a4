#pragma once
// Why workers have died, in sentences.  Pure.
#include <string>
#include <vector>

#include "common/control/death_report.hpp"

namespace preforkd {

/// Deaths of one kind.
struct ExplainedDeaths {
    std::vector<int> pids{};  ///< in the order in which they died
    bool expected = false;    ///< all of them left in good order, as they were told to
    std::string death{};      ///< how they died, and why
    std::string remedy{};     ///< empty: none is needed
};

/// Those that nobody wanted come first, the latest of them before others.
[[nodiscard]] std::vector<ExplainedDeaths> explained(const DeathRing& deaths);

[[nodiscard]] std::string sentence_of(const ExplainedDeaths& deaths);

}  // namespace preforkd
