// certificate=, key= and the others behind tls://.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "common/base/units.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr std::string_view transports = "tls";  // over whatever
constexpr NumberRange tickets_range{.min = 0, .max = 16};
constexpr std::size_t longest_alpn_bytes = 255;  // Source: RFC 7301, 3.1

TlsSettings& tls(ListenSettings& settings) { return *settings.tls; }

template <auto Member>
std::optional<std::string> print_text(const ListenSettings& settings) {
    return settings.tls ? unless_empty((*settings.tls).*Member) : std::nullopt;
}

/// The values of a key that repeats, as they stand behind one another.
template <auto Member>
std::optional<std::string> print_files(const ListenSettings& settings, std::string_view name) {
    if (!settings.tls || ((*settings.tls).*Member).empty()) return std::nullopt;
    return fmt::format("{}", fmt::join((*settings.tls).*Member, fmt::format(" {}=", name)));
}

ClientCertificate read_client_certificate(std::string_view text) {
    if (text == "require") return ClientCertificate::Require;
    if (text == "optional") return ClientCertificate::Optional;
    refuse_value("require or optional", text);
}

TlsVersion read_version(std::string_view text) {
    if (text == "1.2") return TlsVersion::Tls12;
    if (text == "1.3") return TlsVersion::Tls13;
    refuse_value("1.2 or 1.3", text);
}

TlsEnd read_end(std::string_view text) {
    if (text == "strict") return TlsEnd::Strict;
    if (text == "lax") return TlsEnd::Lax;
    refuse_value("strict or lax", text);
}

std::vector<std::string> read_alpn(std::string_view text) {
    std::vector<std::string> protocols;
    for (const std::string_view name : split_at_commas(text)) {
        if (name.empty() || name.size() > longest_alpn_bytes)
            refuse_value("names of protocols such as h2,http/1.1, of 1 to 255 bytes each", text);
        protocols.emplace_back(name);
    }
    return protocols;
}

constexpr std::array<ListenRow, 14> rows_of_tls{{
    {{"certificate", "FILE", transports, "the chain to show, PEM; may be repeated: the client's server name decides"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).certificates.push_back(read_path(text, "a file")); },
     [](const ListenSettings& s) { return print_files<&TlsSettings::certificates>(s, "certificate"); },
     true},
    {{"key", "FILE", transports, "its private key, PEM; as many as certificate=, in the same order"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).keys.push_back(read_path(text, "a file")); },
     [](const ListenSettings& s) { return print_files<&TlsSettings::keys>(s, "key"); },
     true},
    {{"client-ca", "FILE", transports, "who signs the certificates of clients, PEM (default: none is asked for)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).client_ca = read_path(text, "a file"); },
     print_text<&TlsSettings::client_ca>},
    {{"client-cert", "require|optional", transports, "whether a client without one is turned away (default require)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).client_certificate = read_client_certificate(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || !s.tls->client_certificate) return std::nullopt;
         return s.tls->client_certificate == ClientCertificate::Require ? "require" : "optional";
     }},
    {{"crl", "FILE", transports, "what client-ca= has revoked, PEM"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).crl = read_path(text, "a file"); },
     print_text<&TlsSettings::crl>},
    {{"alpn", "NAME,...", transports, "protocols that are spoken here, the preferred first (default: none is named)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).alpn = read_alpn(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || s.tls->alpn.empty()) return std::nullopt;
         return fmt::format("{}", fmt::join(s.tls->alpn, ","));
     }},
    {{"tls-min", "1.2|1.3", transports, "the oldest version that is spoken (default 1.2)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).minimum = read_version(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || s.tls->minimum == TlsVersion::Tls12) return std::nullopt;
         return "1.3";
     }},
    {{"ciphers", "LIST", transports, "those of TLS 1.2, as in ciphers(1) (default: every AEAD with forward secrecy)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).ciphers = read_word(text, "a list of ciphers"); },
     print_text<&TlsSettings::ciphers>},
    {{"ocsp", "FILE", transports, "the answer of an OCSP server to staple, DER"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).ocsp = read_path(text, "a file"); },
     print_text<&TlsSettings::ocsp>},
    {{"tickets", "N", transports, "how many a client gets to resume with; 0: none (default 2)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) {
         tls(s).tickets = static_cast<std::size_t>(read_number(text, tickets_range));
     },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || !s.tls->tickets) return std::nullopt;
         return std::to_string(*s.tls->tickets);
     }},
    {{"ticket-keys", "FILE", transports, "keys of 80 bytes that several daemons share (default: our own, renewed)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).ticket_keys = read_path(text, "a file"); },
     print_text<&TlsSettings::ticket_keys>},
    {{"handshake-timeout", "TIME", transports, "how long a handshake may take, from its begin (default 10s)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).handshake_timeout = read_patience(text, "10s"); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || !s.tls->handshake_timeout) return std::nullopt;
         return to_string(*s.tls->handshake_timeout);
     }},
    {{"eof", "strict|lax", transports, "whether an end without a close_notify is an error (default strict)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).end = read_end(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || s.tls->end == TlsEnd::Strict) return std::nullopt;
         return "lax";
     }},
    {{"key-process", "yes|no", transports, "whether a process of their own has the private keys (default no)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { tls(s).key_process = read_yes_no(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.tls || !s.tls->key_process) return std::nullopt;
         return print_yes_no(true);
     }},
}};

}  // namespace

std::span<const ListenRow> tls_rows() noexcept { return rows_of_tls; }

}  // namespace preforkd
