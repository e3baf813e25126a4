#pragma once
#include "common/base/clock.hpp"
#include "daemon/master/pool/copies_sizing.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/size_policy.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// What is seen right now of the pool, or of one of its services, without what size_policy.hpp remembers.
[[nodiscard]] SizeView look_at_size(const Generation& current, const WorkerTable& workers, std::size_t service = 0);

/// Makes the pool as large as the demand: size_policy.hpp decides, this remembers and looks when it is time.
class PoolSizing {
public:
    /// Something has changed: a worker is ready, a size was ordered.
    void note_change() noexcept { told_ = true; }
    /// A worker tells that it is at its limit.
    void note_full() noexcept { told_ = told_full_ = true; }
    /// Another generation: what was seen of the one before does not hold.
    void start_over() noexcept {
        *this = {};
        note_change();
    }

    /// Changes how many workers are wanted of `current`, if that follows the demand.
    void follow_demand(Generation& current, const WorkerTable& workers, Clock::time_point now);
    [[nodiscard]] Deadline next_look() const noexcept { return earlier(next_look_, copies_.next_look()); }

private:
    Deadline next_look_{};
    bool told_ = false;
    bool told_full_ = false;
    int burst_ = 1;
    Clock::time_point grown_at_{};
    Deadline surplus_since_{};
    CopiesSizing copies_{};
};

/// The size that was ordered last, or that the settings say; where the pool resizes itself, so many at least.
[[nodiscard]] int ordered_size(const PoolSettings& pool) noexcept;

/// What came of an order for `size` workers, where there were `before`.
void log_ordered_size(const PoolSettings& pool, int size, int before);

}  // namespace preforkd
