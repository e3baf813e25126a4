#pragma once
// The environment of a program that serves one connection.  Pure.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "preforkd/announcement.hpp"
#include "preforkd/endpoint.hpp"
#include "preforkd/tls.hpp"

namespace preforkd {

/// The process at the other end of a Unix connection, as the kernel saw it at connect(2).
struct PeerIdentity {
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    std::int32_t pid = 0;
};

/// What is said of one connection.
struct ConnectionFacts {
    const Endpoint& local;
    const Endpoint& peer;
    std::optional<PeerIdentity> identity{};      ///< Unix
    const Announcement* announcement = nullptr;  ///< of a balancer, if it has announced the peer
    const Tls* tls = nullptr;                    ///< if the peer speaks TLS with us
    std::size_t same_host = 1;                   ///< connections from the peer's address, this one included
};

/// Whether a program, which would take it for its own, may inherit `variable`: not what this daemon alone was told, nor
/// what describes a connection.
[[nodiscard]] bool is_passed_on(std::string_view variable);

/// The variables that programs written for other super-servers expect, over those of the daemon.
///
///   tcp   UCSPI: PROTO TCPLOCALIP TCPLOCALPORT TCPREMOTEIP TCPREMOTEPORT TCPCONNNUM
///   unix  UCSPI: PROTO UNIXLOCALPATH UNIXREMOTEEUID UNIXREMOTEEGID UNIXREMOTEPID UNIXREMOTEPATH
///   both  systemd's Accept=yes and CGI: REMOTE_ADDR REMOTE_PORT SERVER_ADDR SERVER_PORT; xinetd: REMOTE_HOST
///   by a PROXY header   PROXY_BALANCER (where the connection came from), PROXY_AUTHORITY, PROXY_ALPN,
///         PROXY_UNIQUE_ID; of a client that speaks TLS with the balancer PROXY_TLS_VERSION, PROXY_TLS_CIPHER,
///         PROXY_TLS_COMMON_NAME, PROXY_TLS_VERIFIED (yes or no; of one without a certificate: not set)
///   by TLS  SSL_PROTOCOL SSL_CIPHER SSL_TLS_SNI_SERVERNAME TLS_ALPN SSL_CLIENT_VERIFY (SUCCESS, or NONE of a
///         client without a certificate); of one with a certificate SSL_CLIENT_S_DN and SSL_PEER_CERT_SUBJECT,
///         SSL_PEER_CERT_HASH (`SHA256:` and hexadecimal digits).  PROTO is SSL then, over tcp
///
/// Nothing that is not known is set, and nothing of the kind is passed on from the daemon's own environment, nor what
/// it was told for itself (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*, PREFORKD_*).  No name is looked up: a program that
/// wants one asks for it itself.  Source: tcp-environ(5), s6-tcpserver, s6-tlsd, Apache's mod_ssl, ucspi-unix, xinetd,
/// systemd.exec(5).
class ProgramEnvironment {
public:
    /// `daemon`: NAME=VALUE each.
    explicit ProgramEnvironment(std::span<const std::string> daemon);

    /// What execve(2) takes, ended by a null pointer.  Borrowed: valid until the next call.
    [[nodiscard]] char* const* of(const ConnectionFacts& facts);

    /// The same of a program that accepts its connections by itself.
    [[nodiscard]] char* const* of_no_connection();

private:
    void say(const char* name, const std::string& value) { own_.push_back(std::string{name} + '=' + value); }
    void say_text(const char* name, const std::string& text);
    void say_tcp(const ConnectionFacts& facts);
    void say_announcement(const Announcement& said);
    void say_tls(const Tls& tls);
    void say_unix(const ConnectionFacts& facts);
    [[nodiscard]] char* const* pointers();

    std::vector<std::string> inherited_{};
    std::vector<std::string> own_{};  ///< of one connection
    std::vector<char*> pointers_{};
};

}  // namespace preforkd
