#pragma once
// What is known of a client that speaks TLS with this service.
#include <optional>
#include <string>
#include <vector>

namespace preforkd {

/// The certificate that the other side has shown.
struct PeerCertificate {
    std::string subject{};             ///< its distinguished name.  RFC 2253: `CN=alice,O=Example`
    std::string common_name{};         ///< of that, the last CN; any bytes
    std::vector<std::string> names{};  ///< its alternative names: `DNS:`, `IP:`, `email:` or `URI:` and the name
    std::string sha256{};              ///< of the whole certificate: 64 hexadecimal digits
    friend bool operator==(const PeerCertificate&, const PeerCertificate&) = default;
};

/// Known once the handshake is over, which it is before a handler sees its client.
struct Tls {
    std::string version{};                         ///< `TLSv1.3`
    std::string cipher{};                          ///< `TLS_AES_256_GCM_SHA384`
    std::string server_name{};                     ///< that the client has asked for; empty: none
    std::string alpn{};                            ///< the protocol that both speak; empty: none was agreed on
    bool resumed = false;                          ///< with a ticket of an earlier session
    std::optional<PeerCertificate> certificate{};  ///< only where the service asks for one: `client-ca=`
    bool verified = false;                         ///< and it is signed by that, valid now, and not revoked
    friend bool operator==(const Tls&, const Tls&) = default;
};

}  // namespace preforkd
