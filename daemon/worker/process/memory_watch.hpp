#pragma once
// --max-memory: notices that this process has grown too large.
#include <cstdint>
#include <functional>
#include <memory>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// The bytes of memory that only this process has: what would come free if it ended.
/// Where the kernel shows no exact figure (/proc/self/smaps_rollup), anonymous memory that is shared with the master
/// since the fork counts, too.  0 without /proc.
[[nodiscard]] std::uint64_t private_memory_bytes();

/// Measures every 2 s while clients come or are being served, and never while the worker rests.
///
/// The first figure is RSS less what is file-backed, which costs one pread(2); only beyond the limit the exact one is
/// asked for, which costs the kernel a walk over all pages.
class MemoryWatch {
public:
    /// `is_busy`: whether to measure again although no client comes; `too_large` is called once.
    /// A limit that the process exceeds already would have it replaced for ever: that is said, and nothing is watched.
    MemoryWatch(Reactor& reactor, std::uint64_t limit_bytes, std::function<bool()> is_busy,
                std::function<void()> too_large);

    /// A client has come.
    void on_client() {
        if (!armed_ && !over_) arm();
    }

private:
    void arm();
    void measure();

    std::uint64_t limit_bytes_;
    std::function<bool()> is_busy_;
    std::function<void()> too_large_;
    std::unique_ptr<Timer> timer_;
    UniqueFd statm_;
    bool armed_ = false;
    bool over_ = false;  ///< there is nothing more to watch for
};

}  // namespace preforkd
