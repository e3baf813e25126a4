#pragma once
// preforkctl send: the classic client, and a health check.
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>

#include "daemon/ctl/proxy_request.hpp"
#include "daemon/ctl/tls_request.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

struct SendRequest {
    Endpoint endpoint{};
    std::optional<TlsRequest> tls{};                        ///< spoken there
    std::optional<ProxyRequest> proxy{};                    ///< said before anything else
    std::optional<std::string> text = "hello from client";  ///< sent as it is; nullopt: what standard input has
    std::optional<std::string> expect{};                    ///< the answer must contain it; reading ends once it does
    std::chrono::milliseconds timeout{5000};                ///< for the whole conversation; zero: for ever
    bool no_reply = false;                                  ///< datagrams only: do not wait for one
    bool verbose = false;
};

/// Whom it goes to, as it is written: `tls://localhost:1`.
[[nodiscard]] std::string to_string(const SendRequest& request);

/// Where the text comes from and the answer goes.  Borrowed descriptors, blocking or not.
struct SendChannels {
    int input = STDIN_FILENO;
    int answer = STDOUT_FILENO;
    int notes = STDERR_FILENO;  ///< what --verbose tells
};

/// Sends to the first address that takes it, and passes the answer on as it arrives.
///
/// A stream is half-closed behind the text and read up to its end; of datagrams, one goes and one comes back.
/// Throws std::runtime_error with one sentence when nobody answers in time or as expected, std::invalid_argument when
/// the text does not fit into a datagram.
void send(const SendRequest& request, const SendChannels& channels);

}  // namespace preforkd
