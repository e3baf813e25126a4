// The handler `forward`: what its clients send goes to a target, and what that answers comes back.
#include <poll.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "common/base/units.hpp"
#include "common/net/proxy_writing.hpp"
#include "daemon/handlers/builtin.hpp"
#include "daemon/worker/forward/relay.hpp"
#include "daemon/worker/forward/targets.hpp"
#include "preforkd/handler.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

/// While it lives the waits on a target end with the patience for it, and at a fast stop.
class Patience final : private Waiting {
public:
    Patience(Loop& loop, TargetEnd& target, std::chrono::milliseconds patience) : loop_{loop}, target_{target} {
        loop.before_wait();
        if (!is_stopped()) loop.waits.add(*this, patience);
    }
    ~Patience() { loop_.waits.remove(*this); }
    Patience(const Patience&) = delete;
    Patience& operator=(const Patience&) = delete;

    [[nodiscard]] bool is_stopped() const noexcept { return loop_.waits.canceled(); }
    [[nodiscard]] bool is_over() const noexcept { return is_stopped() || outcome() == Outcome::TimedOut; }

private:
    void give_up() override { target_.cancel(); }

    Loop& loop_;
    TargetEnd& target_;
};

/// On this machine a connection is there when connect(2) returns, though it says EINPROGRESS.
bool is_writable(int fd) noexcept {
    pollfd socket{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&socket, 1, 0) == 1;
}

std::string proxy_header(ConnectionCore& client, SendProxy version) {
    const bool is_announced = client.announced() != nullptr;
    const SocketAddress source = client.address().unmapped();
    const SocketAddress destination =
        (is_announced ? client.announced()->local : SocketAddress::local_of(client.fd())).unmapped();
    std::optional<ProxyEnds> ends;
    if (source.family() == destination.family() && (source.family() == AF_INET || source.family() == AF_INET6))
        ends = ProxyEnds{.source = source, .destination = destination};
    return write_proxy_header(version == SendProxy::V1 ? ProxyVersion::V1 : ProxyVersion::V2, SOCK_STREAM, ends);
}

const char* remedy_for(const std::error_code& error) noexcept {
    if (error == std::errc::connection_refused) return "; nothing listens there";
    if (error == std::errc::no_such_file_or_directory) return "; is that service running?";
    if (error == std::errc::permission_denied) return "; its socket is not for the user of the workers";
    return "";
}

class Forward final : public StreamHandler {
public:
    explicit Forward(const ForwardSettings& settings)
        : targets_{settings},
          send_proxy_{settings.send_proxy},
          patience_{settings.connect_timeout.value_or(default_connect_timeout)} {}

    awaitable<void> serve(Connection& client) override {
        ConnectionCore& core = ConnectionCore::behind(client);
        TargetEnd target{core.loop};
        const bool is_connected = co_await reach(core, target);
        if (!is_connected) {
            core.account.failed(core.loop.waits.canceled() ? ConnectionOutcome::Cut : ConnectionOutcome::Error);
            core.half_written = true;  // no answer shall look like an empty one
            co_return;
        }
        Relay relay{core, target};
        co_await relay.run();
    }

private:
    /// Connects to the first target that can be; whether there is one.
    awaitable<bool> reach(ConnectionCore& client, TargetEnd& end) {
        for (Target* const target : targets_.next()) {
            std::string reason;
            for (const SocketAddress& address : target->addresses()) {
                reason = co_await connect(client, end, *target, address);
                if (reason.empty()) target->has_worked(address);
                if (reason.empty() || client.loop.waits.canceled()) co_return reason.empty();
            }
            target->has_failed(reason);
        }
        co_return false;
    }

    /// Why it cannot be, in words; empty: it is.
    awaitable<std::string> connect(ConnectionCore& client, TargetEnd& end, const Target& target,
                                   SocketAddress address) {
        const Patience patience{client.loop, end, patience_};
        std::error_code error = end.begin_connect(address);
        // A Unix socket whose queue is full, of which nothing tells when there is space again.
        while (error == std::errc::resource_unavailable_try_again && !patience.is_over()) {
            asio::steady_timer again{client.loop.reactor.context, between_tries};
            client.loop.out_of_handler();
            co_await again.async_wait(asio::as_tuple(asio::use_awaitable));
            client.loop.in_handler();
            error = end.begin_connect(address);
        }
        if (error == std::errc::operation_in_progress) {
            if (!is_writable(end.fd())) error = co_await end.wait(Side::Writing, For::Output);
            if (error != std::errc::operation_canceled) error = end.end_connect();
        }
        if (patience.is_over()) co_return too_late();
        if (error) co_return error.message() + remedy_for(error);
        if (send_proxy_ != SendProxy::No) {
            const std::string header = proxy_header(client, send_proxy_);
            const auto sent = end.send_now(std::as_bytes(std::span{header}));
            if (sent.bytes != header.size())
                co_return "it does not take the PROXY header: " + error_of(sent.error).message();
        }
        if (target.tls() == nullptr) co_return std::string{};
        end.begin_tls(*target.tls());
        for (;;) {
            const TlsResult result = end.shake_hands();
            if (result.kind == TlsResult::Kind::Done) co_return std::string{};
            if (result.kind == TlsResult::Kind::Failed) co_return end.distrust(result.error);
            error = co_await end.wait(Side::Reading,
                                      result.kind == TlsResult::Kind::WantsOutput ? For::Output : For::Input);
            if (error || patience.is_over()) co_return too_late();
        }
    }

    [[nodiscard]] std::string too_late() const {
        return fmt::format("it has not answered within {}; connect-timeout= gives it longer", to_string(patience_));
    }

    using Side = ConnectionCore::Side;
    using For = ConnectionCore::For;
    static constexpr std::chrono::milliseconds between_tries{20};

    Targets targets_;
    SendProxy send_proxy_;
    std::chrono::milliseconds patience_;
};

}  // namespace

HandlerEntry forward_handler() {
    return {.name = "forward",
            .summary = "passes its clients on to another service (--to)",
            .forwards = true,
            .make_stream = [](const HandlerOptions& options) -> std::unique_ptr<StreamHandler> {
                if (options.forward == nullptr) throw std::invalid_argument{"forward is for preforkd itself"};
                return std::make_unique<Forward>(*options.forward);
            }};
}

}  // namespace preforkd
