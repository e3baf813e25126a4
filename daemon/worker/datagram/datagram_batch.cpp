#include "daemon/worker/datagram/datagram_batch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <functional>
#include <utility>

#include "common/base/overloaded.hpp"
#include "daemon/worker/datagram/datagram_request.hpp"
#include "daemon/worker/datagram/receive_datagrams.hpp"

namespace preforkd {

/// One listener's batches.
class DatagramBatch {
public:
    DatagramBatch(DatagramBatches& shared, const DatagramInlet& inlet)
        : intake_{shared.intake()}, outbox_{shared.outbox_}, source_{inlet}, acceptor_{inlet.acceptor} {}

    /// Receives at most `space` and calls `serve` with each, between Acceptor's begun() and what `serve` makes of it.
    template <class Serve>
    int take(int socket, std::size_t space, Serve&& serve) {
        if (const int error = intake_.receive(socket, std::min(space, size_), source_)) return error;
        const auto began = Clock::now();
        {
            const DatagramOutbox::Gathering gathering{outbox_};
            for (ArrivedDatagram& each : intake_.arrived()) {
                source_.begin(each);
                serve(each);
            }
        }
        if (const auto count = static_cast<int>(intake_.arrived().size()); count > 0) {
            const auto took = Clock::now() - began;
            size_ = batch_size_for(took / count);
            acceptor_.handler_busy().add(took, Writers::One);
        }
        acceptor_.losses().look();
        return 0;
    }

    [[nodiscard]] DatagramOutbox& outbox() noexcept { return outbox_; }
    [[nodiscard]] DatagramSource& source() noexcept { return source_; }

private:
    DatagramIntake& intake_;
    DatagramOutbox& outbox_;
    DatagramSource source_;
    Acceptor& acceptor_;
    std::size_t size_ = 1;
};

namespace {

awaitable<void> serve_received(AsyncDatagramHandler& handler, ReceivedDatagram datagram, DatagramOutbox& outbox,
                               std::function<void(ConnectionOutcome)> ended) {
    ConnectionOutcome outcome{};
    {
        DatagramCore core = core_of(datagram, &outbox);
        co_await serve_datagram(handler, core);
        outcome = core.outcome;
    }
    datagram.place.give_back();
    ended(outcome);
    // As for streams: a coroutine that never waited ends inside co_spawn(), without a round through the reactor.
    (co_await boost::asio::detail::awaitable_thread_has_context_switched{}) = true;
}

}  // namespace

DatagramIntake& DatagramBatches::intake() {
    if (!intake_) intake_ = std::make_unique<DatagramIntake>(most_datagrams_per_batch);
    return *intake_;
}

Acceptor::Take DatagramBatches::receive(const DatagramInlet& inlet, const AnyDatagramHandler& handler, Loop& loop) {
    return std::visit(overloaded{[&](DatagramHandler* serves) { return receive(inlet, *serves); },
                                 [&](AsyncDatagramHandler* coroutine) { return receive(inlet, *coroutine, loop); }},
                      handler);
}

Acceptor::Take DatagramBatches::receive(const DatagramInlet& inlet, DatagramHandler& handler) {
    auto batch = std::make_shared<DatagramBatch>(*this, inlet);
    return [batch, &acceptor = inlet.acceptor, &handler](int socket) {
        return batch->take(socket, most_datagrams_per_batch, [&](ArrivedDatagram& each) {
            DatagramCore core{.bytes = each.bytes,
                              .route = {.socket = socket,
                                        .peer = each.sender,
                                        .local = each.local,
                                        .names_source = batch->source().names_destinations(),
                                        .tally = *batch->source().tally()},
                              .longest_reply = each.longest_reply,
                              .outbox = &batch->outbox(),
                              .announced = each.announced.get()};
            serve_datagram(handler, core);
            each.place.give_back();
            acceptor.datagram_ended(batch->source().counter(), core.outcome);
        });
    };
}

Acceptor::Take DatagramBatches::receive(const DatagramInlet& inlet, AsyncDatagramHandler& handler, Loop& loop) {
    auto batch = std::make_shared<DatagramBatch>(*this, inlet);
    return [batch, &acceptor = inlet.acceptor, &handler, &loop, limit = inlet.limit](int socket) {
        const std::size_t space = limit > acceptor.active() ? limit - acceptor.active() : 1;
        // One descriptor for the batch; coroutines that wait keep it beyond.
        const auto keep_open = batch->source().keep_open(socket);
        return batch->take(socket, space, [&](ArrivedDatagram& each) {
            boost::asio::co_spawn(
                loop.reactor.context,
                serve_received(handler, keep(each, batch->source(), socket), batch->outbox(),
                               [&acceptor, &counter = batch->source().counter()](ConnectionOutcome outcome) {
                                   acceptor.datagram_ended(counter, outcome);
                               }),
                boost::asio::detached);
            // What a suspended coroutine waits for is not the worker's thread.
            if (acceptor.active() > 0) enter(loop.record, loop.state_at_rest(), recent_time());
        });
    };
}

}  // namespace preforkd
