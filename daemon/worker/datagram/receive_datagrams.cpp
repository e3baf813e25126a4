#include "daemon/worker/datagram/receive_datagrams.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "common/base/overloaded.hpp"
#include "daemon/worker/datagram/datagram_request.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

class ReceiveOneByOne {
public:
    ReceiveOneByOne(const DatagramInlet& inlet, StartDatagram start)
        : source_{inlet}, acceptor_{inlet.acceptor}, start_{std::move(start)} {}

    int operator()(int socket) {
        if (const int error = intake_.receive(socket, 1, source_)) return error;
        for (ArrivedDatagram& each : intake_.arrived()) {
            const auto open = source_.keep_open(socket);  // may fail, and then nothing has begun
            source_.begin(each);
            start_(keep(each, source_, socket));
        }
        acceptor_.losses().look();
        return 0;
    }

private:
    DatagramSource source_;
    DatagramIntake intake_{1};
    Acceptor& acceptor_;
    StartDatagram start_;
};

/// Has the thread hear what it is told while it waits in `loop`; ends the loop when it has to stop waiting.
void listen_to(StopWatch& stop, asio::io_context& loop, asio::posix::stream_descriptor& told) {
    told.async_wait(asio::posix::stream_descriptor::wait_read, [&](boost::system::error_code error) {
        if (error) return;
        stop.hear();
        if (stop.hurried()) return loop.stop();
        listen_to(stop, loop, told);
    });
}

/// Runs a coroutine to its end, in a loop of its own.
void run_here(AsyncDatagramHandler& handler, DatagramCore& core, const ServeHere& how) {
    StopWatch& stop = how.stop;
    stop.before_first_wait();
    asio::io_context loop{1};
    asio::steady_timer limit{loop};
    if (how.request_timeout.count() != 0) {
        limit.expires_after(how.request_timeout);
        limit.async_wait([&](boost::system::error_code error) {
            if (error) return;
            log(LogLevel::Notice, "a datagram from {peer} took longer than --request-timeout: dropping it",
                {{"peer", address_of(Datagram{core}.peer())}});
            core.outcome = ConnectionOutcome::RequestTimeout;
            loop.stop();
        });
    }
    asio::posix::stream_descriptor told{loop};
    if (stop.fd() >= 0) {
        told.assign(stop.fd());
        listen_to(stop, loop, told);
    }
    bool served = false;
    asio::co_spawn(loop, serve_datagram(handler, core), [&](std::exception_ptr) {
        served = true;
        loop.stop();
    });
    loop.run();
    if (told.is_open()) (void)told.release();  // borrowed
    if (stop.hurried() && core.outcome == ConnectionOutcome::Ok && !served) core.outcome = ConnectionOutcome::Cut;
}

}  // namespace

ReceivedDatagram keep(ArrivedDatagram& arrived, DatagramSource& source, int socket) {
    auto keep_open = source.keep_open(socket);
    const int reply_socket = keep_open->get();
    return {.bytes = {arrived.bytes.begin(), arrived.bytes.end()},
            .sender = arrived.sender,
            .local = arrived.local,
            .names_source = source.names_destinations(),
            .longest_reply = arrived.longest_reply,
            .socket = reply_socket,
            .keep_open = std::move(keep_open),
            .tally = source.tally(),
            .counter = source.counter(),
            .announced = std::move(arrived.announced),
            .place = std::move(arrived.place)};
}

DatagramCore core_of(const ReceivedDatagram& datagram, DatagramOutbox* outbox) {
    return {.bytes = datagram.bytes,
            .route = {.socket = datagram.socket,
                      .peer = datagram.sender,
                      .local = datagram.local,
                      .names_source = datagram.names_source,
                      .tally = *datagram.tally},
            .longest_reply = datagram.longest_reply,
            .outbox = outbox,
            .announced = datagram.announced.get()};
}

Acceptor::Take receive_one_by_one(const DatagramInlet& inlet, StartDatagram start) {
    // Shared, because a std::function has to be copyable and the buffers are not.
    auto receive = std::make_shared<ReceiveOneByOne>(inlet, std::move(start));
    return [receive](int socket) { return (*receive)(socket); };
}

ConnectionOutcome serve_datagram_here(const AnyDatagramHandler& handler, ReceivedDatagram datagram,
                                      const ServeHere& how) noexcept {
    DatagramCore core = core_of(datagram);
    try {
        std::visit(overloaded{[&](DatagramHandler* inline_handler) { serve_datagram(*inline_handler, core); },
                              [&](AsyncDatagramHandler* coroutine) { run_here(*coroutine, core, how); }},
                   handler);
    } catch (const std::exception& error) {  // no reactor could be made
        log(LogLevel::Error, "cannot serve a datagram from {peer}: {cause}",
            {{"peer", address_of(datagram.peer().to_endpoint(SOCK_DGRAM))}, {"cause", error.what()}});
        return ConnectionOutcome::Error;
    }
    return core.outcome;
}

}  // namespace preforkd
