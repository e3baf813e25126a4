#pragma once
// A rolling reload, a worker at a time, and the way back when it fails; exchange_policy.hpp decides.
#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/master/pool/exchange_policy.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// What workers serve to the end before they leave: listeners that only their generation has, by their index.
struct RollingReload {
    std::vector<std::uint32_t> dropped{};  ///< of the current generation
    std::vector<std::uint32_t> added{};    ///< of the next
};

/// The workers of one generation are exchanged for those of another, while both serve.
class RollingExchange {
public:
    explicit RollingExchange(RollingReload closing) : closing_{std::move(closing)} {}

    /// What follows now; the way back is over when the generation that comes is complete.
    [[nodiscard]] ExchangePlan next_step(const WorkerTable& workers, const Generation& coming, Clock::time_point now);

    /// When the next worker that was asked to leave is waited for no longer; unset: none is.
    [[nodiscard]] static Deadline waits_until(const WorkerTable& workers, const Generation& coming,
                                              Clock::time_point now);

    /// Whether it is to leave.
    [[nodiscard]] static bool is_outgoing(const WorkerEntry& worker, const Generation& coming) noexcept;
    /// What it serves to the end first.
    [[nodiscard]] const std::vector<std::uint32_t>& closing() const noexcept {
        return back_ ? closing_.added : closing_.dropped;
    }

    /// A fork, or a worker that starts, was refused for want of space; or one has gone, or could be forked.
    void note_space(bool there_is) noexcept { no_space_ = !there_is; }

    /// The next generation has failed, and the workers of the current one come again.
    void turn_back() noexcept {
        back_ = true;
        no_space_ = false;
    }
    void give_up() noexcept { over_ = true; }

    [[nodiscard]] bool goes_back() const noexcept { return back_; }
    /// It has failed, and is as far back as it goes.
    [[nodiscard]] bool over() const noexcept { return over_; }

private:
    RollingReload closing_;
    bool back_ = false;
    bool no_space_ = false;  ///< see ExchangeView
    bool over_ = false;
};

}  // namespace preforkd
