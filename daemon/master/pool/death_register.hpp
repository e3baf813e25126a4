#pragma once
#include <cstdint>
#include <map>

#include "common/control/death_report.hpp"
#include "daemon/master/pool/death.hpp"
#include "daemon/master/pool/handover.hpp"
#include "daemon/master/pool/oom_watch.hpp"

namespace preforkd {

/// What is known of the dead: a report and a line each, and one line for all connections that were cut together.
class DeathRegister {
public:
    /// `death` as far as the pool knows it.  Whether the kernel is to blame, being out of memory, is found out here.
    bool add(Death death, const WorkerRecord& record);

    /// Tells of the connections that workers of `generation` were not let end, and that are not told of yet.
    void log_cut_connections_of(int generation);
    /// The same of all generations, as one number.
    void log_all_cut_connections();

    [[nodiscard]] const DeathRing& last() const noexcept { return last_; }

    // To another image, and from one.
    void describe(Handover& handover) const;
    void adopt(const Handover& handover);

private:
    DeathRing last_{};
    OomWatch oom_{};
    std::map<int, std::uint64_t> cut_{};  ///< connections not waited for, by generation, until they are told of
};

}  // namespace preforkd
