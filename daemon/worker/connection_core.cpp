#include "daemon/worker/connection_core.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace preforkd {

namespace asio = boost::asio;

awaitable<std::error_code> ConnectionCore::wait(For what) {
    loop.before_wait();
    if (loop.waits.canceled()) co_return std::make_error_code(std::errc::operation_canceled);
    join_reactor();
    loop.waits.add(*this, loop.idle_timeout);
    loop.out_of_handler();
    boost::system::error_code error;
    const auto readiness = what == For::Input ? asio::socket_base::wait_read : asio::socket_base::wait_write;
    co_await socket_->async_wait(readiness, asio::redirect_error(asio::use_awaitable, error));
    loop.in_handler();
    loop.waits.remove(*this);
    switch (outcome()) {
        case Outcome::TimedOut: timed_out_ = true; co_return std::make_error_code(std::errc::timed_out);
        case Outcome::Canceled: co_return std::make_error_code(std::errc::operation_canceled);
        case Outcome::Pending: break;
    }
    co_return error;
}

void ConnectionCore::give_up() {
    boost::system::error_code ignored;
    socket_->cancel(ignored);
}

void ConnectionCore::join_reactor() {
    if (socket_) return;
    const asio::generic::stream_protocol protocol{address_.family(), 0};
    socket_.emplace(loop.reactor.context, protocol, fd_.get());
    (void)fd_.release();  // only now that the socket has it: emplace may throw
}

UniqueFd ConnectionCore::release() {
    if (!socket_) return std::move(fd_);
    UniqueFd fd{socket_->release()};
    socket_.reset();
    return fd;
}

const Endpoint& ConnectionCore::peer() {
    if (!peer_) peer_ = address_.to_endpoint(SOCK_STREAM);
    return *peer_;
}

const Endpoint& ConnectionCore::local() {
    if (!local_) local_ = SocketAddress::local_of(fd()).to_endpoint(SOCK_STREAM);
    return *local_;
}

}  // namespace preforkd
