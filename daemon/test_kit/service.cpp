// A handler in a test: a Server at a socket of its own.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "daemon/embed/forwarding_handler.hpp"
#include "daemon/test_kit/all_asleep.hpp"
#include "daemon/test_kit/virtual_clock.hpp"
#include "preforkd/server.hpp"
#include "preforkd/test.hpp"

namespace preforkd::test {

namespace {

/// An abstract socket of a name that nobody else has; whoever connects says who it is.
std::string endpoint_of_its_own(const HandlerEntry& entry, const ServiceSettings& settings) {
    static std::atomic<int> number{0};
    const bool datagrams = settings.datagrams || (!entry.make_stream && !entry.make_blocking);
    return fmt::format("{}://@preforkd-test-{}-{} proxy=unix", datagrams ? "unixgram" : "unix", ::getpid(), ++number);
}

/// Where it does not own what it passes on.
template <class Kind>
std::shared_ptr<Kind> borrowed(Kind& handler) {
    return {std::shared_ptr<void>{}, &handler};
}

/// Says when the service has begun.
template <class Kind>
class Beginning : public Forwarding<Kind> {
public:
    Beginning(std::shared_ptr<Kind> handler, std::function<void()> begun)
        : Forwarding<Kind>{std::move(handler)}, begun_{std::move(begun)} {}
    void worker_started(Worker& worker) final {
        Forwarding<Kind>::worker_started(worker);
        begun_();
    }

private:
    std::function<void()> begun_;
};

template <class Wrapper, class Kind>
MakeHandler<Kind> tell_of_begin(const MakeHandler<Kind>& make, const std::function<void()>& begun) {
    if (!make) return {};
    return [=](const HandlerOptions& options) {
        return std::make_unique<Wrapper>(std::shared_ptr<Kind>{make(options)}, begun);
    };
}

HandlerEntry tell_of_begin(HandlerEntry entry, const std::function<void()>& begun) {
    entry.make_stream = tell_of_begin<ForwardingStream<Beginning<StreamHandler>>>(entry.make_stream, begun);
    entry.make_blocking = tell_of_begin<ForwardingBlocking<Beginning<BlockingHandler>>>(entry.make_blocking, begun);
    entry.make_datagram = tell_of_begin<ForwardingDatagram<Beginning<DatagramHandler>>>(entry.make_datagram, begun);
    entry.make_async_datagram =
        tell_of_begin<ForwardingAsyncDatagram<Beginning<AsyncDatagramHandler>>>(entry.make_async_datagram, begun);
    return entry;
}

}  // namespace

std::unique_ptr<StreamHandler> detail::lend(StreamHandler& handler) {
    return std::make_unique<ForwardingStream<Forwarding<StreamHandler>>>(borrowed(handler));
}

std::unique_ptr<BlockingHandler> detail::lend(BlockingHandler& handler) {
    return std::make_unique<ForwardingBlocking<Forwarding<BlockingHandler>>>(borrowed(handler));
}

std::unique_ptr<DatagramHandler> detail::lend(DatagramHandler& handler) {
    return std::make_unique<ForwardingDatagram<Forwarding<DatagramHandler>>>(borrowed(handler));
}

std::unique_ptr<AsyncDatagramHandler> detail::lend(AsyncDatagramHandler& handler) {
    return std::make_unique<ForwardingAsyncDatagram<Forwarding<AsyncDatagramHandler>>>(borrowed(handler));
}

class Service::State {
public:
    State(const HandlerEntry& entry, const ServiceSettings& settings)
        : server_{tell_of_begin(entry, [this] { begin(); }),
                  {.listen = endpoint_of_its_own(entry, settings),
                   .model = settings.model,
                   .connections = settings.connections,
                   .idle_timeout = settings.idle_timeout,
                   .stop_timeout = settings.stop_timeout}},
          serving_{[this] { serve(); }} {
        begun_.get_future().wait();  // before that it could not be told to leave
    }
    ~State() {
        drain();
        if (serving_.joinable()) serving_.join();
        if (leaving_.joinable()) leaving_.join();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void drain() {
        const std::scoped_lock lock{mutex_};
        if (!leaving_.joinable() && !drained_) leaving_ = std::thread{[this] { server_.shutdown(); }};
        drained_ = true;
    }

    void stop() {
        drain();
        if (serving_.joinable()) serving_.join();
        if (leaving_.joinable()) leaving_.join();
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

    [[nodiscard]] const Endpoint& address() const noexcept { return server_.server_address(); }

private:
    void serve() noexcept {
        try {
            server_.serve_forever();
        } catch (...) { failure_ = std::current_exception(); }
        begin();
        server_.server_close();  // who is queued, or comes later, is told so
    }

    /// In its thread, for the first time.
    void begin() {
        if (!std::exchange(has_begun_, true)) begun_.set_value();
    }

    std::promise<void> begun_{};
    bool has_begun_ = false;
    Server server_;
    std::mutex mutex_{};
    bool drained_ = false;
    std::exception_ptr failure_{};
    std::thread leaving_{};
    std::thread serving_;
};

Service::Service(const HandlerEntry& entry, const ServiceSettings& settings)
    : state_{std::make_shared<State>(entry, settings)} {}
Service::~Service() = default;
void Service::drain() { state_->drain(); }
void Service::stop() { state_->stop(); }
const Endpoint& Service::address() const noexcept { return state_->address(); }

void Service::advance_clock(std::chrono::milliseconds time) {
    wait_until_all_sleep();
    ::preforkd::test::advance_clock(time);
}

}  // namespace preforkd::test
