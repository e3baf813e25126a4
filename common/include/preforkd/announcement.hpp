#pragma once
// What a balancer in front of this service has said of its client: the PROXY protocol.
// Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
#include <optional>
#include <string>

#include "preforkd/endpoint.hpp"

namespace preforkd {

/// The TLS between the client and the balancer.  PP2_TYPE_SSL.
struct AnnouncedTls {
    std::string version{};         ///< such as `TLSv1.3`; empty where it is not said
    std::string cipher{};          ///< likewise
    std::string common_name{};     ///< of the client's certificate; any bytes
    bool has_certificate = false;  ///< the client has shown one, in this session or the one that it resumed
    bool verified = false;         ///< and the balancer has found it valid
    friend bool operator==(const AnnouncedTls&, const AnnouncedTls&) = default;
};

/// As trustworthy as the balancer, which `proxy=` names.  Texts are any bytes, and empty where nothing was said.
struct Announcement {
    Endpoint balancer{};      ///< who has announced the client: the other end of the connection, or the sender
    std::string authority{};  ///< the host name that the client asked for, of at most 255 bytes
    std::string alpn{};       ///< the protocol that it speaks
    std::string unique_id{};  ///< of its connection, at most 128 bytes
    std::optional<AnnouncedTls> tls{};  ///< if the client speaks TLS
    friend bool operator==(const Announcement&, const Announcement&) = default;
};

}  // namespace preforkd
