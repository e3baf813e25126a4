#include "preforkd/handler.hpp"

#include "preforkd/log.hpp"

namespace preforkd {

bool Handler::verify(const Endpoint&) { return true; }

void Handler::handle_error(const Endpoint& peer, std::exception_ptr error) {
    std::string cause = "something not derived from std::exception";
    try {
        std::rethrow_exception(std::move(error));
    } catch (const std::exception& exception) { cause = exception.what(); } catch (...) {
    }
    log(LogLevel::Error, "handler failed for {peer}: {cause}", {{"peer", address_of(peer)}, {"cause", cause}});
}

void Handler::handle_timeout(const Endpoint&) {}
void Handler::service_actions() {}
void Handler::worker_started(Worker&) { worker_started(); }
void Handler::worker_started() {}
void Handler::worker_draining() {}
void Handler::worker_leaving() {}

awaitable<void> StreamHandler::setup(Connection&) { co_return; }
awaitable<void> StreamHandler::finish(Connection&) { co_return; }

void BlockingHandler::setup(BlockingConnection&) {}
void BlockingHandler::finish(BlockingConnection&) {}

}  // namespace preforkd
