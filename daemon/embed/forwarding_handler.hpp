#pragma once
#include <exception>
#include <memory>
#include <utility>

#include "preforkd/handler.hpp"

namespace preforkd {

/// Passes every hook that all kinds have on to another instance.
template <class Kind>
class Forwarding : public Kind {
public:
    explicit Forwarding(std::shared_ptr<Kind> handler) : handler_{std::move(handler)} {}

    bool verify(const Endpoint& peer) override { return handler_->verify(peer); }
    void handle_error(const Endpoint& peer, std::exception_ptr error) override {
        handler_->handle_error(peer, std::move(error));
    }
    void handle_timeout(const Endpoint& peer) final { handler_->handle_timeout(peer); }
    void service_actions() final { handler_->service_actions(); }
    void worker_started(Worker& worker) override { handler_->worker_started(worker); }
    void worker_started() final {}
    void worker_draining() final { handler_->worker_draining(); }
    void worker_leaving() final { handler_->worker_leaving(); }

protected:
    [[nodiscard]] Kind& handler() const noexcept { return *handler_; }

private:
    std::shared_ptr<Kind> handler_;
};

/// And those of streams.  `Base` is a Forwarding<StreamHandler>.
template <class Base>
class ForwardingStream : public Base {
public:
    using Base::Base;
    awaitable<void> setup(Connection& client) final { return this->handler().setup(client); }
    awaitable<void> serve(Connection& client) final { return this->handler().serve(client); }
    awaitable<void> finish(Connection& client) final { return this->handler().finish(client); }
};

/// `Base` is a Forwarding<BlockingHandler>.
template <class Base>
class ForwardingBlocking : public Base {
public:
    using Base::Base;
    void setup(BlockingConnection& client) final { this->handler().setup(client); }
    void serve(BlockingConnection& client) final { this->handler().serve(client); }
    void finish(BlockingConnection& client) final { this->handler().finish(client); }
};

/// And that of datagrams, of either kind.
template <class Base>
class ForwardingDatagram : public Base {
public:
    using Base::Base;
    void serve(Datagram& request) final { this->handler().serve(request); }
};

template <class Base>
class ForwardingAsyncDatagram : public Base {
public:
    using Base::Base;
    awaitable<void> serve(Datagram& request) final { return this->handler().serve(request); }
};

}  // namespace preforkd
