#pragma once
// --max-memory of a copy of a program: notices that it has grown too large, with all that it has started.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// Measures every 2 s: nobody here hears of the copy's clients.
///
/// The first figure costs a read for each process; only beyond the limit the exact one is asked for.
class CopyMemory {
public:
    struct Wanted {
        std::string program{};          ///< its name, for the log
        std::uint64_t limit_bytes = 0;  ///< of all processes below this one together; 0: nothing is measured
        std::function<void()> too_large{};
    };

    CopyMemory(Reactor& reactor, Wanted wanted);

    /// The copy is ready.  One that is too large by now would be replaced for ever: that is said, and nothing is
    /// watched.
    void begin();
    void end() { timer_->cancel(); }

private:
    void measure();

    Wanted wanted_;
    std::unique_ptr<Timer> timer_;
};

}  // namespace preforkd
