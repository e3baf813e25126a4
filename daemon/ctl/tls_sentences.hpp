#pragma once
// Why TLS with a server has failed, in words, and what to do about it.  Pure.
#include <string>
#include <system_error>

#include "common/tls/tls_client.hpp"
#include "daemon/ctl/tls_request.hpp"

namespace preforkd {

/// Of a server that is not believed.
[[nodiscard]] std::string distrust_sentence(const Distrust& distrust, const TlsRequest& request);

struct TlsFailure {
    int reason = 0;             ///< TlsStream::failure_reason()
    std::string text{};         ///< TlsStream::failure(); empty: the connection broke
    std::error_code error{};    ///< how
    bool in_handshake = false;  ///< it has not ended
    bool asked_for_certificate = false;
    std::string without_tls{};  ///< the endpoint where there is none: `tcp://localhost:1`
};
/// Of one that ends the connection, or says what no TLS server would.
[[nodiscard]] std::string failure_sentence(const TlsFailure& failure, const TlsRequest& request);

/// What --verbose says of a connection.
[[nodiscard]] std::string facts_sentence(const Tls& facts, const TlsRequest& request);

}  // namespace preforkd
