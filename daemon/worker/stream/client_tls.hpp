#pragma once
// TLS with one client: what both kinds of connection have of it.
#include <chrono>
#include <memory>
#include <system_error>

#include "common/net/listener.hpp"
#include "common/tls/tls_stream.hpp"
#include "preforkd/tls.hpp"

namespace preforkd {

class ClientTls {
public:
    /// On `socket`, which is borrowed, with a client of `listener`, which speaks TLS and outlives this.
    ClientTls(const Listener& listener, int socket);

    [[nodiscard]] TlsStream* operator->() const noexcept { return stream_.get(); }

    /// What was agreed on; once the handshake is over.
    [[nodiscard]] const Tls& facts();

    [[nodiscard]] std::chrono::milliseconds handshake_timeout() const noexcept;

    /// Says that the handshake has failed: at debug, since anybody can bring that about.
    void log_failure(const Endpoint& peer, const std::error_code& error) const;

private:
    const Listener& listener_;
    std::unique_ptr<TlsStream> stream_;
    std::unique_ptr<const Tls> facts_{};
};

/// Throws std::logic_error: a handler has asked a TLS connection for its socket, where there is nothing to be read.
[[noreturn]] void refuse_socket(const char* function);

}  // namespace preforkd
