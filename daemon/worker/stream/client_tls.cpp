#include "daemon/worker/stream/client_tls.hpp"

#include <fmt/core.h>

#include <stdexcept>

#include "common/tls/server_context.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

ClientTls::ClientTls(const Listener& listener, int socket)
    : listener_{listener}, stream_{TlsStream::accept(listener.tls->get(), socket)} {}

const Tls& ClientTls::facts() {
    if (!facts_) facts_ = std::make_unique<const Tls>(stream_->facts());
    return *facts_;
}

std::chrono::milliseconds ClientTls::handshake_timeout() const noexcept { return listener_.tls->handshake_timeout(); }

void ClientTls::log_failure(const Endpoint& peer, const std::error_code& error) const {
    if (!log_enabled(LogLevel::Debug)) return;
    log(LogLevel::Debug, "TLS handshake with {peer} at {listener} failed: {cause}",
        {{"peer", address_of(peer)},
         {"listener", to_string(listener_)},
         {"cause", stream_->failure().empty() ? error.message() : stream_->failure()}});
}

void refuse_socket(const char* function) {
    throw std::logic_error{fmt::format(
        "{} of a TLS connection: its socket has what OpenSSL makes of the bytes; read and write the connection",
        function)};
}

}  // namespace preforkd
