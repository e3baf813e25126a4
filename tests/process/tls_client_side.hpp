#pragma once
// The other end of a connection that speaks TLS, for fixtures beside ConnectedClient.
#include <fcntl.h>

#include <chrono>
#include <memory>
#include <vector>

#include "common/base/sys_error.hpp"
#include "common/net/listener.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd::testing {

/// Before its handshake.
struct TlsClientSide {
    explicit TlsClientSide(int client) {
        listener.tls = context_of(certificates);
        check(::fcntl(client, F_SETFL, O_NONBLOCK), "fcntl");
        stream = trusting.connect(client);
    }

    const std::vector<CertificatePair> certificates{make_self_signed({"localhost"}, std::chrono::days{30})};
    TlsClient trusting{{.verifies = false}};
    Listener listener{};
    std::unique_ptr<TlsStream> stream{};
};

}  // namespace preforkd::testing
