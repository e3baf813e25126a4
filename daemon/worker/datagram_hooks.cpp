#include "daemon/worker/datagram_hooks.hpp"

namespace preforkd {

namespace {

void report_failure(Handler& handler, const Datagram& request, std::exception_ptr error) noexcept {
    try {
        handler.handle_error(request.peer(), error);
    } catch (...) {
        handler.Handler::handle_error(request.peer(), std::current_exception());  // it only logs
    }
}

}  // namespace

void serve_datagram(DatagramHandler& handler, DatagramCore& core) noexcept {
    Datagram request{core};
    try {
        if (handler.verify(request.peer())) handler.serve(request);
    } catch (...) { report_failure(handler, request, std::current_exception()); }
}

awaitable<void> serve_datagram(AsyncDatagramHandler& handler, DatagramCore& core) {
    Datagram request{core};
    std::exception_ptr failure;
    try {
        if (handler.verify(request.peer())) co_await handler.serve(request);
    } catch (...) { failure = std::current_exception(); }
    if (failure) report_failure(handler, request, failure);
}

}  // namespace preforkd
