#pragma once
// What limits a service, from two looks at it.  Pure.
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/ctl/looks.hpp"

namespace preforkd {

/// What it does to clients; the worst first.
enum class Harm : std::uint8_t {
    Down,  ///< nobody is served, or nobody of a listener's
    Loss,  ///< some are turned away or cut off
    Wait,  ///< some wait
    Risk,  ///< none now: what has been, or may come
};
inline constexpr std::array harm_names{"down", "loss", "wait", "risk"};

struct Finding {
    Harm harm{};
    std::uint64_t amount = 0;  ///< of what is as bad, more comes first: clients, mostly
    std::string listener{};    ///< empty: all are concerned
    std::string limit{};       ///< what is so, and why
    std::string remedy{};      ///< what helps, with the option that it takes
};

/// Those that hurt most come first.
[[nodiscard]] std::vector<Finding> findings_of(const Looks& looks, std::chrono::sys_seconds now);

/// Whether some of them hurt clients now.
[[nodiscard]] bool limits_now(const std::vector<Finding>& findings) noexcept;

/// `listener tcp://:443: 37 clients wait ...; raise --workers`.
[[nodiscard]] std::string sentence_of(const Finding& finding);

/// How a service does that nothing limits.
[[nodiscard]] std::string unlimited_text(const Looks& looks);

}  // namespace preforkd
