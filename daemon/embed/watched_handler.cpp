#include "daemon/embed/watched_handler.hpp"

#include "daemon/embed/forwarding_handler.hpp"
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

/// The author's instance, and what it throws is noticed.
template <class Kind>
class Watched : public Forwarding<Kind> {
public:
    Watched(std::shared_ptr<Kind> handler, const Watching& watching)
        : Forwarding<Kind>{std::move(handler)}, watching_{watching} {}

    bool verify(const Endpoint& peer) final {
        watching_.entered();
        return Forwarding<Kind>::verify(peer);
    }
    void handle_error(const Endpoint& peer, std::exception_ptr error) final {
        if (is_server_exit(error))
            watching_.left_for(std::move(error));
        else
            Forwarding<Kind>::handle_error(peer, std::move(error));
    }

private:
    const Watching& watching_;
};

using WatchedStream = ForwardingStream<Watched<StreamHandler>>;
using WatchedBlocking = ForwardingBlocking<Watched<BlockingHandler>>;

using WatchedDatagram = ForwardingDatagram<Watched<DatagramHandler>>;
using WatchedAsyncDatagram = ForwardingAsyncDatagram<Watched<AsyncDatagramHandler>>;

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
