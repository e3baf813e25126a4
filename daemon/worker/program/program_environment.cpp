#include "daemon/worker/program/program_environment.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace preforkd {

namespace {

/// As programs know it: `@` before an abstract name.
std::string unix_name(const Endpoint& endpoint) { return endpoint.abstract ? '@' + endpoint.path : endpoint.path; }

}  // namespace

bool is_passed_on(std::string_view variable) {
    // SSL_CERT_FILE and SSL_CERT_DIR are not about a connection: OpenSSL's clients find their authorities by them.
    constexpr std::array prefixes{"LISTEN_",   "SERVER_STARTER_", "EINHORN_",    "WATCHDOG_",
                                  "PREFORKD_", "PROXY_",          "TCP",         "UNIX",
                                  "SSL",       "SSL_PEER_",       "SSL_CLIENT_", "SSL_SERVER_"};
    constexpr std::array names{"NOTIFY_SOCKET", "FDSTORE",        "JOURNAL_STREAM",      "PROTO",
                               "REMOTE_ADDR",   "REMOTE_PORT",    "REMOTE_HOST",         "REMOTE_USER",
                               "SERVER_ADDR",   "SERVER_PORT",    "SSL_PROTOCOL",        "SSL_CIPHER",
                               "TLS_ALPN",      "SSL_SESSION_ID", "SSL_SESSION_RESUMED", "SSL_TLS_SNI_SERVERNAME",
                               "SSL_TLS_SNI"};
    // UCSPI's names have no underscore behind the protocol: TCPREMOTEIP, TCP6LOCALPORT, but not TCP_SOMETHING.
    const std::string_view name = variable.substr(0, variable.find('='));
    const bool about_a_connection = name.find("LOCAL") != name.npos || name.find("REMOTE") != name.npos ||
                                    name.ends_with("CONNNUM") || name.ends_with("CONCURRENCY") ||
                                    name.ends_with("INTERFACE");
    for (const std::string_view prefix : prefixes)
        if (name.starts_with(prefix) && (prefix.ends_with('_') || about_a_connection)) return false;
    return std::ranges::find(names, name) == names.end();
}

ProgramEnvironment::ProgramEnvironment(std::span<const std::string> daemon) {
    std::ranges::copy_if(daemon, std::back_inserter(inherited_), is_passed_on);
}

char* const* ProgramEnvironment::of(const ConnectionFacts& facts) {
    own_.clear();
    own_.reserve(16);
    if (facts.local.transport == Transport::Unix)
        say_unix(facts);
    else
        say_tcp(facts);
    if (facts.announcement != nullptr) say_announcement(*facts.announcement);
    if (facts.tls != nullptr) say_tls(*facts.tls);
    return pointers();
}

char* const* ProgramEnvironment::of_no_connection() {
    own_.clear();
    return pointers();
}

char* const* ProgramEnvironment::pointers() {
    pointers_.clear();
    for (std::string& variable : inherited_) pointers_.push_back(variable.data());
    for (std::string& variable : own_) pointers_.push_back(variable.data());
    pointers_.push_back(nullptr);
    return pointers_.data();
}

void ProgramEnvironment::say_tcp(const ConnectionFacts& facts) {
    const std::string local_port = std::to_string(facts.local.port);
    const std::string peer_port = std::to_string(facts.peer.port);
    say("PROTO", facts.tls != nullptr ? "SSL" : "TCP");
    say("TCPLOCALIP", facts.local.host);
    say("TCPLOCALPORT", local_port);
    say("TCPREMOTEIP", facts.peer.host);
    say("TCPREMOTEPORT", peer_port);
    say("TCPCONNNUM", std::to_string(facts.same_host));
    say("REMOTE_HOST", facts.peer.host);
    say("REMOTE_ADDR", facts.peer.host);
    say("REMOTE_PORT", peer_port);
    say("SERVER_ADDR", facts.local.host);
    say("SERVER_PORT", local_port);
}

/// Any bytes but zero, which ends a variable: a text with one is not passed on.
void ProgramEnvironment::say_text(const char* name, const std::string& text) {
    if (!text.empty() && text.find('\0') == text.npos) say(name, text);
}

void ProgramEnvironment::say_announcement(const Announcement& said) {
    say_text("PROXY_BALANCER", address_of(said.balancer));
    say_text("PROXY_AUTHORITY", said.authority);
    say_text("PROXY_ALPN", said.alpn);
    say_text("PROXY_UNIQUE_ID", said.unique_id);
    if (!said.tls) return;
    say_text("PROXY_TLS_VERSION", said.tls->version);
    say_text("PROXY_TLS_CIPHER", said.tls->cipher);
    say_text("PROXY_TLS_COMMON_NAME", said.tls->common_name);
    if (said.tls->has_certificate) say("PROXY_TLS_VERIFIED", said.tls->verified ? "yes" : "no");
}

void ProgramEnvironment::say_tls(const Tls& tls) {
    say("SSL_PROTOCOL", tls.version);
    say("SSL_CIPHER", tls.cipher);
    say_text("SSL_TLS_SNI_SERVERNAME", tls.server_name);
    say_text("TLS_ALPN", tls.alpn);
    say("SSL_CLIENT_VERIFY", tls.verified ? "SUCCESS" : "NONE");
    if (!tls.certificate) return;
    say_text("SSL_CLIENT_S_DN", tls.certificate->subject);
    say_text("SSL_PEER_CERT_SUBJECT", tls.certificate->subject);
    say("SSL_PEER_CERT_HASH", "SHA256:" + tls.certificate->sha256);
}

void ProgramEnvironment::say_unix(const ConnectionFacts& facts) {
    say("PROTO", "UNIX");
    say("UNIXLOCALPATH", unix_name(facts.local));
    if (!facts.peer.path.empty()) {
        say("UNIXREMOTEPATH", unix_name(facts.peer));
        say("REMOTE_ADDR", unix_name(facts.peer));
    }
    if (!facts.identity) return;
    say("UNIXREMOTEEUID", std::to_string(facts.identity->user));
    say("UNIXREMOTEEGID", std::to_string(facts.identity->group));
    say("UNIXREMOTEPID", std::to_string(facts.identity->pid));
}

}  // namespace preforkd
