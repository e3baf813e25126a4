#pragma once
// What the operator asks of a listener that speaks TLS.  Pure data.
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace preforkd {

enum class ClientCertificate { Require, Optional };
enum class TlsVersion { Tls12, Tls13 };
enum class TlsEnd { Strict, Lax };

/// Files are named as they were typed.
struct TlsSettings {
    std::vector<std::string> certificates{};  ///< the chain of each, its own certificate first; PEM
    std::vector<std::string> keys{};          ///< of each of these, in the same order
    std::string client_ca{};                  ///< who signs the certificates of clients; empty: none is asked for
    std::optional<ClientCertificate> client_certificate{};  ///< where there is a client_ca; unset: Require
    std::string crl{};                                      ///< what these have revoked; empty: nothing
    std::vector<std::string> alpn{};                        ///< protocols, the one that is preferred first
    TlsVersion minimum = TlsVersion::Tls12;
    std::string ciphers{};                 ///< of TLS 1.2, as ciphers(1) reads it; empty: all that are AEAD
    std::string ocsp{};                    ///< a response to staple, DER
    std::string ticket_keys{};             ///< a file of them, for daemons that share a name; empty: keys of our own
    std::optional<std::size_t> tickets{};  ///< how many a client gets; unset: 2, as OpenSSL
    std::optional<std::chrono::milliseconds> handshake_timeout{};  ///< of the whole; unset 10 s
    TlsEnd end = TlsEnd::Strict;  ///< whether an end without a close_notify is an error
    bool key_process = false;     ///< whether the private keys live in a process of their own

    friend bool operator==(const TlsSettings&, const TlsSettings&) = default;
};

inline constexpr std::chrono::milliseconds default_handshake_timeout{10'000};

}  // namespace preforkd
