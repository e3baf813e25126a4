#include "daemon/worker/stream/connection_core.hpp"

#include "preforkd/log.hpp"

namespace preforkd {

namespace asio = boost::asio;

/// How long this wait may last; at least a moment, because zero would be for ever.
std::chrono::milliseconds ConnectionCore::patience(Deadline& until) const {
    using namespace std::chrono_literals;
    if (operation_timeout == no_operation_timeout) return loop.idle_timeout;
    if (operation_timeout == 0ms) return 0ms;
    const auto now = Clock::now();
    if (!until) until = now + operation_timeout;
    return std::max(1ms, std::chrono::ceil<std::chrono::milliseconds>(*until - now));
}

std::error_code ConnectionCore::canceled() noexcept {
    canceled_ = true;
    account.failed(ConnectionOutcome::Cut);
    return std::make_error_code(std::errc::operation_canceled);
}

std::error_code ConnectionCore::begin_wait(Deadline& until) {
    loop.before_wait();
    if (loop.waits.canceled()) return canceled();
    (void)socket();
    loop.waits.add(*this, patience(until));
    loop.out_of_handler();
    return {};
}

std::error_code ConnectionCore::end_wait(boost::system::error_code error) {
    loop.in_handler();
    loop.waits.remove(*this);
    if (cut_) return why_cut();
    switch (outcome()) {
        case Outcome::TimedOut:
            timed_out_ = true;
            account.failed(ConnectionOutcome::IdleTimeout);
            return std::make_error_code(std::errc::timed_out);
        case Outcome::Canceled: return canceled();
        case Outcome::Pending: break;
    }
    return error;
}

awaitable<std::error_code> ConnectionCore::wait(For what, Deadline& until) {
    if (const auto error = begin_wait(until)) co_return error;
    boost::system::error_code waited;
    co_await readiness(what, waited);
    co_return end_wait(waited);
}

void ConnectionCore::give_up() {
    boost::system::error_code ignored;
    socket_->cancel(ignored);
}

void ConnectionCore::cut() {
    log(LogLevel::Notice, "{peer} took longer than --request-timeout: cutting it off", {{"peer", address_of(peer())}});
    account.failed(ConnectionOutcome::RequestTimeout);
    cut_ = true;
    ::shutdown(fd(), SHUT_RDWR);  // also for a handler that waits on the socket by itself; ends a wait of ours, too
}

asio::generic::stream_protocol::socket& ConnectionCore::socket() {
    if (socket_) return *socket_;
    const int family = announced ? SocketAddress::local_of(fd_.get()).family() : address_.get().family();
    const asio::generic::stream_protocol protocol{family, 0};
    socket_.emplace(loop.reactor.context, protocol, fd_.get());
    (void)fd_.release();  // only now that the socket has it: emplace may throw
    return *socket_;
}

UniqueFd ConnectionCore::release() {
    if (!socket_) return std::move(fd_);
    UniqueFd fd{socket_->release()};
    socket_.reset();
    return fd;
}

ConnectionCore::Ends& ConnectionCore::ends() {
    if (!ends_) ends_ = std::make_unique<Ends>();
    return *ends_;
}

const Endpoint& ConnectionCore::peer() {
    std::optional<Endpoint>& peer = ends().peer;
    if (!peer) peer = address_.get().to_endpoint(SOCK_STREAM);
    return *peer;
}

const Endpoint& ConnectionCore::local() {
    std::optional<Endpoint>& local = ends().local;
    if (!local) local = (announced ? announced->local : SocketAddress::local_of(fd())).to_endpoint(SOCK_STREAM);
    return *local;
}

}  // namespace preforkd
