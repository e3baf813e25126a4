#include "daemon/worker/datagram/datagram_request.hpp"

#include "daemon/worker/handler/handler_hooks.hpp"

namespace preforkd {

void serve_datagram(DatagramHandler& handler, DatagramCore& core) noexcept {
    Datagram request{core};
    try {
        if (handler.verify(request.peer()))
            handler.serve(request);
        else
            core.outcome = ConnectionOutcome::Unverified;
    } catch (...) {
        core.outcome = ConnectionOutcome::Error;
        report_failure(handler, request.peer(), std::current_exception());
    }
}

awaitable<void> serve_datagram(AsyncDatagramHandler& handler, DatagramCore& core) {
    Datagram request{core};
    std::exception_ptr failure;
    try {
        if (handler.verify(request.peer()))
            co_await handler.serve(request);
        else
            core.outcome = ConnectionOutcome::Unverified;
    } catch (...) { failure = std::current_exception(); }
    if (!failure) co_return;
    core.outcome = ConnectionOutcome::Error;
    report_failure(handler, request.peer(), failure);
}

}  // namespace preforkd
