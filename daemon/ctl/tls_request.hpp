#pragma once
#include <optional>
#include <string>
#include <vector>

namespace preforkd {

/// What `preforkctl send` is told about TLS.
struct TlsRequest {
    std::string server_name{};  ///< the server's certificate has to be for it, and it is asked for; empty: for any
    bool insecure = false;      ///< believe any certificate
    std::vector<std::string> alpn{};
    // Files, PEM.
    std::optional<std::string> authorities{};  ///< --ca; nullopt: those of the system
    std::optional<std::string> certificate{};  ///< --cert
    std::optional<std::string> key{};          ///< --key
};

}  // namespace preforkd
