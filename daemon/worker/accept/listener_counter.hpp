#pragma once
// A worker's counts of the clients of one listener.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/channel/listener_counts.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/net/listener.hpp"
#include "common/process/probes.hpp"

namespace preforkd {

class Acceptor;

/// What probes name a listener and the outcomes by.  In memory of its own: who looks on through a probe is not given a
/// page that this process has never touched, as those of constants may be.
class ProbeTexts {
public:
    explicit ProbeTexts(const Listener& listener) : listener_{to_string(listener)} {
        for (std::size_t outcome = 0; outcome < connection_outcomes; ++outcome)
            std::string_view{outcome_names[outcome]}.copy(outcomes_.data() + outcome * each_bytes, each_bytes - 1);
    }
    [[nodiscard]] const char* listener() const noexcept { return listener_.c_str(); }
    [[nodiscard]] const char* name_of(ConnectionOutcome outcome) const noexcept {
        return outcomes_.data() + static_cast<std::size_t>(outcome) * each_bytes;
    }

private:
    static constexpr std::size_t each_bytes = 16;

    std::string listener_;
    std::array<char, connection_outcomes * each_bytes> outcomes_{};
};

class ListenerCounter {
public:
    /// `row` and `worker`, its record's traffic, outlive it, as does `acceptor`.  `writers`: who counts bytes, and the
    /// ends of connections.
    ListenerCounter(Acceptor& acceptor, const Listener& listener, ListenerRow& row, Traffic& worker, Writers writers)
        : acceptor_{acceptor},
          row_{row},
          traffic_{worker, row.traffic, writers},
          writers_{writers},
          linger_{listener.settings.linger.value_or(std::chrono::seconds{2})},
          probe_texts_{listener} {}

    // In the thread that accepts
    void came(std::int64_t now_ns) noexcept {
        count(row_.accepted);
        row_.open.change(1, now_ns);
    }
    void gone(std::int64_t now_ns) noexcept { row_.open.change(~std::uint64_t{0}, now_ns); }

    /// A datagram that is not served.
    void turned_away() noexcept {
        count(row_.accepted);
        closed(ConnectionOutcome::Refused);
    }

    /// A program that gets the socket, and how long it waits for the next start where it leaves its clients.
    void program_started() noexcept { count(row_.program_starts); }
    void program_pauses(std::chrono::milliseconds pause) noexcept {
        row_.program_pause_ms.store(static_cast<std::uint64_t>(pause.count()), std::memory_order_relaxed);
    }

    /// Whether to ask the kernel how long the client has waited, which costs as much as a hundredth of a short
    /// connection: not more often than every 5 ms.
    [[nodiscard]] bool wants_wait(std::int64_t now_ns) noexcept {
        constexpr std::int64_t between_ns = 5'000'000;
        if (now_ns < next_wait_ns_) return false;
        next_wait_ns_ = now_ns + between_ns;
        return true;
    }
    void waited(std::chrono::nanoseconds time) noexcept { row_.accept_wait.add(time, Writers::One); }

    // Wherever it is served
    void closed(ConnectionOutcome outcome) noexcept {
        add(row_.closed[static_cast<std::size_t>(outcome)], 1, writers_);
    }
    void closed(ConnectionOutcome outcome, std::chrono::nanoseconds duration) noexcept {
        closed(outcome);
        row_.duration.add(duration, writers_);
    }
    [[nodiscard]] const TrafficCounter& traffic() const noexcept { return traffic_; }

    [[nodiscard]] const ProbeTexts& probe_texts() const noexcept { return probe_texts_; }
    [[nodiscard]] Acceptor& acceptor() const noexcept { return acceptor_; }
    /// How long its connections linger; zero: not at all.
    [[nodiscard]] std::chrono::milliseconds linger() const noexcept { return linger_; }

private:
    Acceptor& acceptor_;
    ListenerRow& row_;
    TrafficCounter traffic_;
    Writers writers_;
    std::chrono::milliseconds linger_;
    std::int64_t next_wait_ns_ = 0;
    ProbeTexts probe_texts_;
};

/// A client in the counts of its listener.
struct CountedClient {
    ListenerCounter* listener = nullptr;  ///< null: nobody counts it
    std::int64_t came_ns = 0;             ///< CLOCK_MONOTONIC

    /// Where somebody else than the acceptor counts its end.  Inlined, since a forked child has its code side by side.
    [[gnu::always_inline]] void closed(ConnectionOutcome outcome, std::int64_t now_ns) const noexcept {
        if (listener == nullptr) return;
        ListenerCounter& counter = *listener;
        const std::int64_t duration_ns = now_ns - came_ns;
        counter.closed(outcome, std::chrono::nanoseconds{duration_ns});
        const ProbeTexts& texts = counter.probe_texts();
        probe::connection_close(texts.listener(), came_ns, duration_ns, texts.name_of(outcome));
    }
};

}  // namespace preforkd
