// Connections that handlers make: Worker::connect().
#include <fcntl.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/config/endpoint_forms.hpp"
#include "daemon/worker/handler/outbound_wait.hpp"
#include "daemon/worker/handler/worker_core.hpp"
#include "preforkd/counter.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

using Protocol = asio::generic::stream_protocol;

Counter connected{"outbound_connections"};
Counter failed{"outbound_failures"};

/// Those who do a step keep it alive: getaddrinfo(3) cannot be ended, and must not be waited for.
struct Attempt : OutboundWait {
    Attempt(const asio::any_io_executor& home, std::chrono::milliseconds patience)
        : OutboundWait{home, patience}, resolver{home}, socket{home} {}

    asio::ip::tcp::resolver resolver;
    Protocol::socket socket;
    asio::ip::tcp::resolver::results_type found{};
};

/// Whatever becomes of the coroutine, nothing of the attempt goes on.
class Attempting {
public:
    Attempting(WorkerCore& core, const std::shared_ptr<Attempt>& attempt)
        : attempt_{attempt}, stopped_with_worker_{core, attempt} {}
    ~Attempting() {
        boost::system::error_code ignored;
        attempt_->resolver.cancel();
        attempt_->socket.close(ignored);
    }
    Attempting(const Attempting&) = delete;
    Attempting& operator=(const Attempting&) = delete;

private:
    std::shared_ptr<Attempt> attempt_;
    StoppedWithWorker stopped_with_worker_;
};

constexpr const char* forms_to_connect_to = "tcp://HOST:PORT, unix:///PATH or unix://@NAME to connect to";

/// Throws std::invalid_argument.
Endpoint read_target(const std::string& text) {
    const Endpoint where = parse_endpoint(text, forms_to_connect_to);
    const auto refuse = [&text](const char* why) {
        throw std::invalid_argument{in_quotes(text) + why + "; expected " + forms_to_connect_to};
    };
    if (where.transport != Transport::Tcp && where.transport != Transport::Unix) refuse(" is no stream to connect to");
    if (where.transport == Transport::Tcp && where.host.empty()) refuse(" lacks its HOST");
    if (where.transport == Transport::Tcp && where.port == 0) refuse(" has the port 0, which is nobody's");
    return where;
}

/// Of a host's name; numbers and paths take no step.
awaitable<std::error_code> find_addresses(std::shared_ptr<Attempt> attempt, const Endpoint& where,
                                          std::vector<Protocol::endpoint>& addresses) {
    if (where.transport == Transport::Unix) {
        addresses.emplace_back(
            asio::local::stream_protocol::endpoint{(where.abstract ? std::string(1, '\0') : "") + where.path});
        co_return std::error_code{};
    }
    boost::system::error_code not_numeric;
    const auto address = asio::ip::make_address(where.host, not_numeric);
    if (!not_numeric) {
        addresses.emplace_back(asio::ip::tcp::endpoint{address, where.port});
        co_return std::error_code{};
    }
    attempt->resolver.async_resolve(where.host, std::to_string(where.port), asio::ip::tcp::resolver::numeric_service,
                                    [attempt](const boost::system::error_code& error, const auto& found) {
                                        attempt->found = found;
                                        attempt->step_over(error);
                                    });
    const std::error_code error = co_await attempt->end_of_step();
    if (!error)
        for (const auto& each : attempt->found) addresses.emplace_back(each.endpoint());
    co_return error;
}

awaitable<std::error_code> connect_to(std::shared_ptr<Attempt> attempt, const Protocol::endpoint& address) {
    boost::system::error_code error;
    attempt->socket.close(error);  // of the address before
    attempt->socket.open(address.protocol(), error);
    const std::error_code cannot_open = error;
    if (cannot_open) co_return cannot_open;
    // Asio does not ask for it.
    check(::fcntl(attempt->socket.native_handle(), F_SETFD, FD_CLOEXEC), "keep a socket from other programs");
    attempt->socket.async_connect(address,
                                  [attempt](const boost::system::error_code& came_to) { attempt->step_over(came_to); });
    co_return co_await attempt->end_of_step();
}

[[nodiscard]] bool is_final(const std::error_code& error) {
    return !error || error == std::errc::timed_out || error == std::errc::operation_canceled;
}

}  // namespace

void check_outbound(const std::string& endpoint) { (void)read_target(endpoint); }

awaitable<Protocol::socket> connect_outbound(WorkerCore& core, std::string endpoint,
                                             std::chrono::milliseconds patience) {
    const Endpoint where = read_target(endpoint);
    const auto home = co_await asio::this_coro::executor;
    const auto attempt = std::make_shared<Attempt>(home, patience);
    const Attempting attempting{core, attempt};
    std::vector<Protocol::endpoint> addresses;
    std::error_code error = co_await find_addresses(attempt, where, addresses);
    for (const Protocol::endpoint& address : addresses) {
        error = co_await connect_to(attempt, address);
        if (is_final(error)) break;
    }
    (error ? failed : connected).add();
    if (error) throw std::system_error{error, "connect to " + endpoint};
    co_return std::move(attempt->socket);
}

}  // namespace preforkd
