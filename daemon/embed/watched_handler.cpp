#include "daemon/embed/watched_handler.hpp"

#include "daemon/worker/handler/handler_instances.hpp"
#include "preforkd/server.hpp"

namespace preforkd {

namespace {

bool is_server_exit(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const ServerExit&) { return true; } catch (...) {
        return false;
    }
}

/// Passes every hook on to the author's instance.
template <class Kind>
class Watched : public Kind {
public:
    Watched(std::shared_ptr<Kind> handler, const Watching& watching)
        : handler_{std::move(handler)}, watching_{watching} {}

    bool verify(const Endpoint& peer) final {
        watching_.entered();
        return handler_->verify(peer);
    }
    void handle_error(const Endpoint& peer, std::exception_ptr error) final {
        if (is_server_exit(error))
            watching_.left_for(std::move(error));
        else
            handler_->handle_error(peer, std::move(error));
    }
    void handle_timeout(const Endpoint& peer) final { handler_->handle_timeout(peer); }
    void service_actions() final { handler_->service_actions(); }
    void worker_started(Worker& worker) final { handler_->worker_started(worker); }
    void worker_started() final {}
    void worker_draining() final { handler_->worker_draining(); }
    void worker_leaving() final { handler_->worker_leaving(); }

protected:
    [[nodiscard]] Kind& handler() const noexcept { return *handler_; }

private:
    std::shared_ptr<Kind> handler_;
    const Watching& watching_;
};

class WatchedStream final : public Watched<StreamHandler> {
public:
    using Watched::Watched;
    awaitable<void> setup(Connection& client) override { return handler().setup(client); }
    awaitable<void> serve(Connection& client) override { return handler().serve(client); }
    awaitable<void> finish(Connection& client) override { return handler().finish(client); }
};

class WatchedBlocking final : public Watched<BlockingHandler> {
public:
    using Watched::Watched;
    void setup(BlockingConnection& client) override { handler().setup(client); }
    void serve(BlockingConnection& client) override { handler().serve(client); }
    void finish(BlockingConnection& client) override { handler().finish(client); }
};

class WatchedDatagram final : public Watched<DatagramHandler> {
public:
    using Watched::Watched;
    void serve(Datagram& request) override { handler().serve(request); }
};

class WatchedAsyncDatagram final : public Watched<AsyncDatagramHandler> {
public:
    using Watched::Watched;
    awaitable<void> serve(Datagram& request) override { return handler().serve(request); }
};

template <class Wrapper, class Kind>
MakeHandler<Kind> watch(const MakeHandler<Kind>& make, const HandlerOptions& options, const Watching& watching,
                        const std::shared_ptr<HandlerInstances>& instances) {
    if (!make) return {};
    const std::shared_ptr<Kind> handler{instances, instances->get(make, options)};
    return [handler, &watching](const HandlerOptions&) { return std::make_unique<Wrapper>(handler, watching); };
}

}  // namespace

HandlerEntry watch_handler(const HandlerEntry& entry, const HandlerOptions& options, const Watching& watching) {
    HandlerEntry watched = entry;
    const auto instances = std::make_shared<HandlerInstances>();
    watched.make_stream = watch<WatchedStream>(entry.make_stream, options, watching, instances);
    watched.make_blocking = watch<WatchedBlocking>(entry.make_blocking, options, watching, instances);
    watched.make_datagram = watch<WatchedDatagram>(entry.make_datagram, options, watching, instances);
    watched.make_async_datagram = watch<WatchedAsyncDatagram>(entry.make_async_datagram, options, watching, instances);
    return watched;
}

}  // namespace preforkd
