#pragma once
// --request-timeout for a client that is served by a coroutine.
#include "daemon/worker/stream/connection_core.hpp"

namespace preforkd {

/// While it lives its client's time runs; when that is up, the connection is cut and everything that waits on it fails.
/// Ends up to 100 ms late, as all that the WaitList ends.
class RequestLimit final : private Waiting {
public:
    /// Null where there is no limit, as usual: an idle connection should not carry one.
    [[nodiscard]] static std::unique_ptr<RequestLimit> of(ConnectionCore& core) {
        if (core.loop.request_timeout == std::chrono::milliseconds::zero()) return nullptr;
        return std::make_unique<RequestLimit>(core);
    }

    explicit RequestLimit(ConnectionCore& core) : core_{core} { core.loop.waits.add(*this, core.loop.request_timeout); }

private:
    void give_up() override {
        if (outcome() == Outcome::TimedOut) core_.cut();  // a fast stop ends the waits, each of which knows by itself
    }

    ConnectionCore& core_;
};

}  // namespace preforkd
