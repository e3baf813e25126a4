#pragma once
// What is counted of the service, ever: plain values, and their way to JSON and back.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "common/channel/listener_counts.hpp"

namespace boost::json {
class value;
}

namespace preforkd {

/// What workers die of.  Append-only: counts go from image to image.
enum class DeathCause : std::uint8_t {
    Exit,    ///< it has left by itself
    Signal,  ///< it has crashed, or somebody else than the master has killed it
    OutOfMemory,
    Hang,
    Boot,  ///< before it was ready
    MaxRequests,
    MaxMemory,
    Ordered,  ///< told to leave, or killed, for anything else
};
inline constexpr std::array death_cause_names{"exit", "signal",       "oom",        "hang",
                                              "boot", "max_requests", "max_memory", "ordered"};
inline constexpr std::size_t death_causes = death_cause_names.size();

/// How often something went well, and how often not.
struct Attempts {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    friend bool operator==(const Attempts&, const Attempts&) = default;
};

/// Of the counters of handlers: workers that were taken over may make up names, and those of the dead are kept.
inline constexpr std::size_t most_handler_counts = 256;

/// By the name of the counter.
using HandlerCounts = std::map<std::string, std::uint64_t>;

struct ServiceCounts {
    std::map<std::string, ListenerCounts> listeners{};     ///< by endpoint; `other`: those without a row of their own
    std::map<std::string, std::uint64_t> accept_errors{};  ///< by the name of the errno
    HistogramCounts handler_busy{};  ///< how long handler code has kept its thread, from one wait to the next
    std::array<std::uint64_t, death_causes> deaths{};
    Attempts reloads{};
    Attempts upgrades{};
    HistogramCounts worker_boot{};    ///< from the fork until it is ready
    HandlerCounts handler{};          ///< what handlers count by themselves, by the name of the counter
    std::chrono::milliseconds cpu{};  ///< of the dead and their children; of the living what cannot be read now
    friend bool operator==(const ServiceCounts&, const ServiceCounts&) = default;
};

inline constexpr const char* other_listeners = "other";

/// `merge` of all numbers of both, one by one; of handlers' counters no more than there may be.
void combine(HandlerCounts& into, const HandlerCounts& from, std::uint64_t (*merge)(std::uint64_t, std::uint64_t));
void combine(ServiceCounts& into, const ServiceCounts& from, std::uint64_t (*merge)(std::uint64_t, std::uint64_t));

/// An object; of a ServiceCounts without its listeners, each of which has one of its own.
[[nodiscard]] boost::json::value to_json_value(const ListenerCounts& counts);
[[nodiscard]] boost::json::value to_json_value(const HistogramCounts& histogram);
[[nodiscard]] boost::json::value to_json_value(const ServiceCounts& counts);

/// What lacks, or is something else, reads as zero.
[[nodiscard]] ListenerCounts listener_counts_from(const boost::json::value& value);
[[nodiscard]] ServiceCounts service_counts_from(const boost::json::value& value);

}  // namespace preforkd
