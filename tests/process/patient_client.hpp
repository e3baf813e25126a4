#pragma once
// Clients of a connection that somebody waits on for something else, too.
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <span>
#include <string_view>

#include "daemon/worker/stream/connection_tls.hpp"
#include "tests/process/connection_fixture.hpp"
#include "tests/process/tls_client_side.hpp"

namespace preforkd::testing {

/// A test in which somebody waits for ever ends.
class PatientClient : public ConnectedClient {
protected:
    explicit PatientClient(std::chrono::milliseconds idle_timeout) : ConnectedClient{idle_timeout} {
        beside = [this] { give_up_late(); };
    }

    void give_up_late() {
        if (Clock::now() < began + std::chrono::seconds{10}) return;
        ADD_FAILURE() << "somebody waits for ever";
        loop.reactor.stop();
    }

    awaitable<void> pass(std::chrono::milliseconds time) {
        boost::asio::steady_timer timer{loop.reactor.context, time};
        co_await timer.async_wait(boost::asio::use_awaitable);
    }

    const Clock::time_point began = Clock::now();
};

/// Likewise, over TLS.
class PatientTlsClient : public PatientClient, protected TlsClientSide {
protected:
    PatientTlsClient() : PatientClient{std::chrono::seconds{10}}, TlsClientSide{client.get()} {
        beside = [this] {
            give_up_late();
            if (!shaken) (void)stream->handshake();
        };
    }

    awaitable<void> shake_hands() {
        const bool went_well = co_await begin_tls(*core, listener);
        EXPECT_TRUE(went_well);
        shaken = true;
    }

    void say_encrypted(std::string_view text) {
        EXPECT_EQ(stream->write(std::as_bytes(std::span{text})).kind, TlsResult::Kind::Done);
    }

    bool shaken = false;
};

}  // namespace preforkd::testing
