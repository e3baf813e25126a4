#pragma once
// What is known of a worker's death, and of the last of them: plain values, and their way to JSON and back.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// Why the master has told a worker to leave, or killed it.  Append-only: their numbers go from image to image.
enum class DeathOrder {
    None,
    Stop,
    Recycle,
    Resize,
    Reload,
    Upgrade,
    Hang,
    Lifeless,
    BootTimeout,
    StopTimeout,
    OutOfTurn,
    Rebind
};
inline constexpr DeathOrder last_death_order = DeathOrder::Rebind;

/// Who ordered a death, as it is told.
[[nodiscard]] constexpr const char* name_of(DeathOrder order) noexcept {
    switch (order) {
        case DeathOrder::None: return "";
        case DeathOrder::Stop: return "master: stop";
        case DeathOrder::Recycle: return "master: recycle";
        case DeathOrder::Resize: return "master: resize";
        case DeathOrder::Reload: return "master: reload";
        case DeathOrder::Upgrade: return "master: upgrade";
        case DeathOrder::Hang: return "master: hang";
        case DeathOrder::Lifeless: return "master: stopped for too long";
        case DeathOrder::BootTimeout: return "master: boot timeout";
        case DeathOrder::StopTimeout: return "master: stop timeout";
        case DeathOrder::OutOfTurn: return "master: report out of turn";
        case DeathOrder::Rebind: return "master: listener bound again";
    }
    return "";
}
inline constexpr const char* ordered_by_kernel = "kernel: out of memory";
inline constexpr const char* ordered_by_nobody = "nobody";  ///< it crashed, or left by itself
inline constexpr const char* ordered_by_another = "another process";

/// What a dead worker, and the children that it had waited for, had used.  Source: getrusage(2).
struct ResourceUse {
    std::chrono::milliseconds user{};
    std::chrono::milliseconds system{};
    std::uint64_t max_rss_bytes = 0;
    std::uint64_t major_faults = 0;
    std::uint64_t voluntary_switches = 0;
    std::uint64_t involuntary_switches = 0;
    friend bool operator==(const ResourceUse&, const ResourceUse&) = default;
};

struct DeathReport {
    std::string time{};  ///< when it was reaped, UTC, ISO 8601
    int number = 0;
    int pid = 0;
    std::optional<std::uint64_t> generation{};
    std::string cause{};         ///< `exited with code 0`, `killed by SIGSEGV, core dumped`
    std::string ordered_by{};    ///< `master: resize`, `another process` ...
    bool expected = false;       ///< it was told to leave, and did so in good order
    bool out_of_memory = false;  ///< the kernel has killed in this cgroup since the death before
    std::chrono::milliseconds age{};
    std::optional<std::uint64_t> served{};  ///< ended connections; unset: of a copy of a program, nobody knows
    std::string last_peer{};                ///< the client that came last; empty: none, or one without an address
    std::string last_error{};
    ResourceUse used{};
    friend bool operator==(const DeathReport&, const DeathReport&) = default;
};

/// The last 32 deaths, oldest first.  Workers that left in good order crowd nobody else out: once there are 32, more
/// than the last 8 of those are kept only where nothing worse has happened.
class DeathRing {
public:
    static constexpr std::size_t capacity = 32;
    static constexpr std::ptrdiff_t orderly_kept = 8;

    void add(DeathReport death) {
        deaths_.push_back(std::move(death));
        if (deaths_.size() <= capacity) return;
        const bool orderly_goes = std::ranges::count(deaths_, true, &DeathReport::expected) > orderly_kept;
        deaths_.erase(std::ranges::find(deaths_, orderly_goes, &DeathReport::expected));
    }
    [[nodiscard]] const std::vector<DeathReport>& all() const noexcept { return deaths_; }
    friend bool operator==(const DeathRing&, const DeathRing&) = default;

private:
    std::vector<DeathReport> deaths_{};
};

/// A JSON array.
[[nodiscard]] std::string to_json(const DeathRing& deaths);

/// As parse_status().
[[nodiscard]] DeathRing parse_deaths(std::string_view json);

}  // namespace preforkd
