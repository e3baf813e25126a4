#include "daemon/worker/accept/accept_streams.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <utility>

#include "common/channel/source_table.hpp"
#include "common/process/probes.hpp"
#include "daemon/worker/accept/admission.hpp"
#include "daemon/worker/accept/proxy_headers.hpp"
#include "daemon/worker/accept/taken_stream.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

bool has_option(int fd, int level, int option) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, option, &value, &size) == 0 && value != 0;
}

void set_option(int fd, int level, int option) noexcept {
    const int on = 1;
    // Fails only when the client has gone already, which the handler will notice.
    (void)::setsockopt(fd, level, option, &on, sizeof on);
}

/// How long a client has been in the accept queue: nothing was sent since the handshake ended.
std::chrono::milliseconds time_in_queue(int connection) noexcept {
    tcp_info info;
    socklen_t size = offsetof(tcp_info, tcpi_last_data_sent) + sizeof info.tcpi_last_data_sent;
    if (::getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &size) == -1) return not_measured;
    return std::chrono::milliseconds{info.tcpi_last_data_sent};
}

/// What happens to a client once it is known who it is.
class StartStreams {
public:
    StartStreams(const Listener& listener, LogConnections log_connections, Acceptor& acceptor, StartStream start)
        : listener_{listener},
          logs_begin_{logs_begin(log_connections)},
          logs_end_{logs_end(log_connections)},
          acceptor_{acceptor},
          start_{std::move(start)} {
        if (listener.sources) admission_ = std::make_shared<Admission>(listener, acceptor);
    }

    void operator()(TakenStream taken, const SocketAddress& address, std::unique_ptr<const Announced> announced) const {
        if (admission_ && !admission_->admits(taken.fd.get(), address, announced != nullptr, taken.place)) {
            taken.fd = {};
            taken.place.give_back();
            return acceptor_.refused(taken.client, ConnectionOutcome::Refused);
        }
        acceptor_.admitted();
        acceptor_.met(address);
        if (logs_begin_ && log_enabled(LogLevel::Info)) log_begin(address, announced.get());
        start_({.fd = std::move(taken.fd),
                .address = address,
                .listener = listener_,
                .speaks_tls = listener_.tls != nullptr,
                .linger = listener_.settings.linger.value_or(2s),
                .client = taken.client,
                .account = tells_end() ? ConnectionAccount{address, listener_, taken.waited} : ConnectionAccount{},
                .announced = std::move(announced),
                .place = std::move(taken.place)});
    }

    [[nodiscard]] bool tells_end() const noexcept { return logs_end_ && log_enabled(LogLevel::Info); }

private:
    void log_begin(const SocketAddress& address, const Announced* announced) const {
        const std::string peer = address_of(address.to_endpoint(SOCK_STREAM));
        const std::string listener = to_string(listener_);
        if (announced != nullptr)
            return log(LogLevel::Info, "got connection from {peer} via {balancer}",
                       {{"peer", peer}, {"balancer", address_of(announced->said.balancer)}, {"listener", listener}});
        // Clients of a Unix socket seldom have a name that tells one listener's from another's.
        const bool is_unix = listener_.local.transport == Transport::Unix;
        log(LogLevel::Info, is_unix ? "got connection from {peer} at {listener}" : "got connection from {peer}",
            {{"peer", peer}, {"listener", listener}});
    }

    const Listener& listener_;
    bool logs_begin_;
    bool logs_end_;
    Acceptor& acceptor_;
    StartStream start_;
    std::shared_ptr<Admission> admission_{};
};

class AcceptStreams {
public:
    AcceptStreams(const Listener& listener, Acceptor& acceptor, StartStreams start)
        : acceptor_{acceptor},
          counter_{acceptor.open_counter(listener)},
          start_{std::move(start)},
          is_tcp_{is_tcp(listener)},
          // The accepted socket inherits these from a listener of ours; an inherited listener's own are not ours to
          // set.
          set_nodelay_{is_tcp(listener) && listener.settings.nodelay &&
                       !has_option(listener.fd.get(), IPPROTO_TCP, TCP_NODELAY)},
          set_keepalive_{is_tcp(listener) && listener.settings.keepalive &&
                         !has_option(listener.fd.get(), SOL_SOCKET, SO_KEEPALIVE)} {
        if (const auto max = listener.settings.limits.max; max && listener.sources) {
            max_ = *max;
            cells_ = &listener.sources->cells();
        }
        if (!listener.settings.proxy) return;
        headers_ = std::make_shared<ProxyHeaders>(listener, acceptor, start_);
        acceptor.keep(headers_);
    }

    int operator()(int socket) const {
        CountedPlace place;
        if (cells_ != nullptr) {
            // Before: a client that was accepted cannot go back into the queue.
            if (!cells_->enter_listener(acceptor_.column(), max_)) return Acceptor::at_max;
            place.add_total(*cells_, acceptor_.column());
        }
        SocketAddress address;
        socklen_t size = SocketAddress::capacity();
        UniqueFd accepted{::accept4(socket, address.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!accepted) return errno;
        address.resize(size);
        if (set_nodelay_) set_option(accepted.get(), IPPROTO_TCP, TCP_NODELAY);
        if (set_keepalive_) set_option(accepted.get(), SOL_SOCKET, SO_KEEPALIVE);
        if (acceptor_.draining()) lift_refusal(accepted.get());  // it inherits from the listener what keeps others out
        const CountedClient client = acceptor_.taken(&counter_);
        const auto waited = measure_wait(accepted.get(), client);
        probe::connection_accept(counter_.probe_texts().listener(), client.came_ns, accepted.get(), waited.count(),
                                 address.data());
        TakenStream taken{.fd = std::move(accepted), .place = std::move(place), .client = client, .waited = waited};
        if (headers_ && headers_->expects(address))
            headers_->read(std::move(taken), address);
        else
            start_(std::move(taken), address, {});
        return 0;
    }

private:
    /// Of a sample, or where a line is to tell it; only TCP knows.
    [[nodiscard]] std::chrono::milliseconds measure_wait(int connection, const CountedClient& client) const {
        if (!is_tcp_) return not_measured;
        const bool is_sample = counter_.wants_wait(client.came_ns);
        if (!is_sample && !start_.tells_end()) return not_measured;
        const auto time = time_in_queue(connection);
        if (is_sample && time != not_measured) counter_.waited(time);
        return time;
    }

    static bool is_tcp(const Listener& listener) noexcept { return listener.local.transport == Transport::Tcp; }

    Acceptor& acceptor_;
    ListenerCounter& counter_;
    StartStreams start_;
    bool is_tcp_;
    bool set_nodelay_;
    bool set_keepalive_;
    const SourceCells* cells_ = nullptr;  ///< where max= is counted; nullptr: there is none
    std::uint32_t max_ = 0;
    std::shared_ptr<ProxyHeaders> headers_{};
};

}  // namespace

Acceptor::Take accept_streams(const Listener& listener, const Settings& settings, Acceptor& acceptor,
                              StartStream start) {
    return AcceptStreams{
        listener, acceptor, {listener, log_connections_of(listener.settings, settings), acceptor, std::move(start)}};
}

}  // namespace preforkd
