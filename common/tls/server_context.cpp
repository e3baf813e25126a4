#include "common/tls/server_context.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <new>
#include <set>
#include <utility>

#include "common/base/lower_case.hpp"
#include "common/base/operator_error.hpp"
#include "common/base/wiped_text.hpp"
#include "common/config/config_file.hpp"

namespace preforkd {

namespace {

constexpr std::string_view default_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";  // AEAD alone, with forward secrecy
constexpr std::size_t largest_file_bytes = std::size_t{16} << 20;            // a list of authorities, or of revocations

[[noreturn]] void refuse(std::string_view key, std::string_view file, std::string_view why) {
    throw OperatorError{ExitCode::Configuration, fmt::format("{}={}: {}", key, file, why)};
}

/// Reads what parses a file's text, and says which file it is if that fails.
template <class Parse>
auto parse_file(const char* key, const std::string& file, const TlsContext::ReadFile& read, const Parse& parse) {
    const WipedText read_text{read(key, file)};
    try {
        return parse(read_text.text());
    } catch (const std::invalid_argument& error) { refuse(key, file, error.what()); }
}

std::string digest_of(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    check_openssl(
        openssl().EVP_Digest(text.data(), text.size(), digest.data(), &size, openssl().EVP_sha256(), nullptr) == 1,
        "hash what sessions are bound to");
    return {reinterpret_cast<const char*>(digest.data()), size};
}

bool has(const std::vector<std::string>& names, std::string_view wanted) {
    return std::ranges::find(names, wanted) != names.end();
}

/// Whether one of `names` has a `*` for the first label of `name`.  Source: RFC 6125, 6.4.3
bool has_wildcard_for(const std::vector<std::string>& names, std::string_view name) {
    const std::size_t dot = name.find('.');
    return dot != name.npos && has(names, fmt::format("*{}", name.substr(dot)));
}

KeyPtr read_key_of(X509* certificate, const std::string& its_file, const std::string& file,
                   const TlsContext::ReadFile& read) {
    KeyPtr key = parse_file("key", file, read, read_private_key);
    if (openssl().X509_check_private_key(certificate, key.get()) == 1) return key;
    openssl().ERR_clear_error();
    refuse("key", file, fmt::format("is not the key of certificate={}; name each pair in turn", its_file));
}

std::unique_ptr<RemoteKey> make_remote_key(const std::string& file, X509* certificate, Signer& signer) {
    try {
        return std::make_unique<RemoteKey>(certificate, signer);
    } catch (const std::invalid_argument& error) { refuse("certificate", file, error.what()); }
}

bool is_required(const TlsSettings& settings) {
    return settings.client_certificate.value_or(ClientCertificate::Require) == ClientCertificate::Require;
}

std::string check_ocsp(std::string text) {
    const auto* begin = reinterpret_cast<const unsigned char*>(text.data());
    const OcspPtr answer{openssl().d2i_OCSP_RESPONSE(nullptr, &begin, static_cast<long>(text.size()))};
    openssl().ERR_clear_error();
    if (!answer || openssl().OCSP_response_status(answer.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        throw std::invalid_argument{"no answer of an OCSP server; expected DER, as `openssl ocsp -respout` writes it"};
    return text;
}

}  // namespace

TlsContext::TlsContext(const TlsSettings& settings, std::string_view listener, std::shared_ptr<TicketKeys> keys,
                       const ReadFile& read, std::shared_ptr<Signer> signer)
    : ticket_keys_{std::move(keys)},
      signer_{std::move(signer)},
      alpn_{protocol_list(settings.alpn)},
      identity_{fmt::format("{}\n{}\n", listener, static_cast<int>(is_required(settings)))},
      handshake_timeout_{settings.handshake_timeout.value_or(default_handshake_timeout)} {
    read_pairs(settings, read);
    read_others(settings, read);
    make_contexts(settings);
}

void TlsContext::read_pairs(const TlsSettings& settings, const ReadFile& read) {
    for (std::size_t i = 0; i < settings.certificates.size(); ++i) {
        const std::string& file = settings.certificates[i];
        Pair pair{.chain = parse_file("certificate", file, read, read_certificates)};
        X509* const certificate = pair.chain.certificate.get();
        if (settings.key_process)
            pair.remote = make_remote_key(file, certificate, *signer_);
        else
            pair.key = read_key_of(certificate, file, settings.keys.at(i), read);
        pair.kind = openssl().EVP_PKEY_get_base_id(pair.remote ? pair.remote->get() : pair.key.get());
        pair.names = host_names_of(certificate);
        identity_ += describe_certificate(certificate).sha256;
        if (const auto end = end_of(certificate); i == 0 || end < first_expiry_.end)
            first_expiry_ = {.file = file, .end = end};
        pairs_.push_back(std::move(pair));
    }
}

std::vector<X509*> TlsContext::certificates_of_remote_keys() const {
    std::vector<X509*> certificates;
    for (const Pair& pair : pairs_)
        if (pair.remote) certificates.push_back(pair.chain.certificate.get());
    return certificates;
}

void TlsContext::read_others(const TlsSettings& settings, const ReadFile& read) {
    const auto note = [&](std::string_view text) { identity_ += digest_of(text); };
    if (!settings.client_ca.empty()) {
        CertificateChain all = parse_file("client-ca", settings.client_ca, read, [&](const std::string& text) {
            note(text);
            return read_certificates(text);
        });
        client_authorities_ = std::move(all.others);
        client_authorities_.push_back(std::move(all.certificate));
    }
    if (!settings.crl.empty())
        revocations_ = parse_file("crl", settings.crl, read, [&](const std::string& text) {
            note(text);
            return read_revocations(text);
        });
    if (!settings.ticket_keys.empty())
        ticket_keys_ = parse_file("ticket-keys", settings.ticket_keys, read,
                                  [](const std::string& text) { return std::make_shared<GivenTicketKeys>(text); });
    if (!settings.ocsp.empty()) ocsp_ = parse_file("ocsp", settings.ocsp, read, check_ocsp);
}

void TlsContext::make_contexts(const TlsSettings& settings) {
    std::map<Numbers, SSL_CTX*> made;
    const auto make = [&](const Numbers& pairs) {
        SSL_CTX*& context = made[pairs];
        if (context == nullptr) context = contexts_.emplace_back(make_context(settings, pairs)).get();
        return context;
    };
    const std::vector<std::string>& first_names = pairs_.front().names;
    make(first_names.empty() ? Numbers{0} : pairs_for(first_names.front()));
    for (const Pair& pair : pairs_)
        for (const std::string& name : pair.names) by_name_[name] = make(pairs_for(name));
    if (contexts_.size() == 1) return;  // whatever a client names
    SSL_CTX* const first = contexts_.front().get();
    openssl().SSL_CTX_callback_ctrl(first, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                                    reinterpret_cast<void (*)()>(choose_by_name));
    openssl().SSL_CTX_ctrl(first, SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, this);
}

/// Of each kind of key the first that has the name itself, or else the first with a wildcard for it.
TlsContext::Numbers TlsContext::pairs_for(std::string_view name) const {
    Numbers numbers;
    std::set<int> kinds;
    for (const auto is_for : {has, has_wildcard_for})
        for (std::size_t i = 0; i < pairs_.size(); ++i)
            if (is_for(pairs_[i].names, name) && kinds.insert(pairs_[i].kind).second) numbers.push_back(i);
    return numbers;
}

SslContextPtr TlsContext::make_context(const TlsSettings& settings, const Numbers& pairs) {
    openssl().ERR_clear_error();
    SslContextPtr made{check_openssl(openssl().SSL_CTX_new(openssl().TLS_server_method()), "prepare TLS")};
    SSL_CTX* const context = made.get();
    for (const std::size_t number : pairs) {
        const Pair& pair = pairs_[number];
        if (!use_certificate(context, pair.chain, pair.remote ? pair.remote->get() : pair.key.get()))
            refuse("certificate", settings.certificates[number], openssl_error());
    }
    std::uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
    if (settings.end == TlsEnd::Lax) options |= SSL_OP_IGNORE_UNEXPECTED_EOF;
    if (settings.tickets == 0) options |= SSL_OP_NO_TICKET;
    openssl().SSL_CTX_set_options(context, options);
    if (settings.tickets) openssl().SSL_CTX_set_num_tickets(context, *settings.tickets);
    const auto set = [context](int command, long value) { openssl().SSL_CTX_ctrl(context, command, value, nullptr); };
    set(SSL_CTRL_SET_MIN_PROTO_VERSION, settings.minimum == TlsVersion::Tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    // An idle connection keeps no buffer; a record comes with one system call.
    set(SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    set(SSL_CTRL_SET_READ_AHEAD, 1);
    set(SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF);  // the client keeps its session, in a ticket
    openssl().SSL_CTX_set_ex_data(context, 0, this);        // an index that is the application's
    openssl().SSL_CTX_set_tlsext_ticket_key_evp_cb(context, protect_ticket);
    std::string ciphers = settings.ciphers.empty() ? std::string{default_ciphers} : settings.ciphers;
    if (settings.key_process) ciphers += ":!kRSA";  // whose key would have to decrypt
    if (openssl().SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1) {
        openssl().ERR_clear_error();
        refuse("ciphers", settings.ciphers,
               settings.key_process ? "names no cipher that OpenSSL has and that signs; see ciphers(1)"
                                    : "names no cipher that OpenSSL has; see ciphers(1)");
    }
    const std::string bound_to = digest_of(identity_);
    static_assert(SSL_MAX_SID_CTX_LENGTH >= 32);
    openssl().SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(bound_to.data()),
                                             static_cast<unsigned>(bound_to.size()));
    if (!client_authorities_.empty()) ask_for_certificates(context, settings);
    if (!alpn_.empty()) openssl().SSL_CTX_set_alpn_select_cb(context, choose_protocol, this);
    if (!ocsp_.empty() && std::ranges::find(pairs, 0U) != pairs.end()) {
        openssl().SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
                                        reinterpret_cast<void (*)()>(staple));
        openssl().SSL_CTX_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB_ARG, 0, this);
    }
    return made;
}

void TlsContext::ask_for_certificates(SSL_CTX* context, const TlsSettings& settings) const {
    X509_STORE* const store = openssl().SSL_CTX_get_cert_store(context);
    for (const CertificatePtr& authority : client_authorities_) {
        check_openssl(openssl().X509_STORE_add_cert(store, authority.get()) == 1, "trust client-ca=");
        check_openssl(openssl().SSL_CTX_add_client_CA(context, authority.get()) == 1, "name client-ca=");
    }
    for (const CrlPtr& list : revocations_)
        check_openssl(openssl().X509_STORE_add_crl(store, list.get()) == 1, "use crl=");
    if (!revocations_.empty()) openssl().X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    const int when_none = is_required(settings) ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    openssl().SSL_CTX_set_verify(context, SSL_VERIFY_PEER | when_none, nullptr);
}

SSL_CTX* TlsContext::context_for(std::string_view name) const {
    const std::string wanted = lower_case(std::string{name});
    auto found = by_name_.find(wanted);
    if (const std::size_t dot = wanted.find('.'); found == by_name_.end() && dot != wanted.npos)
        found = by_name_.find("*" + wanted.substr(dot));
    return found == by_name_.end() ? get() : found->second;
}

int TlsContext::choose_by_name(SSL* ssl, int*, void* self) {
    try {
        if (const char* const name = openssl().SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name))
            openssl().SSL_set_SSL_CTX(ssl, static_cast<const TlsContext*>(self)->context_for(name));
    } catch (const std::bad_alloc&) { return SSL_TLSEXT_ERR_ALERT_FATAL; }
    return SSL_TLSEXT_ERR_OK;
}

/// Ours comes first; where there is none in common the handshake ends.  Source: RFC 7301, 3.2
int TlsContext::choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                                const unsigned char* offered, unsigned offered_bytes, void* self) {
    const std::string& ours = static_cast<const TlsContext*>(self)->alpn_;
    unsigned char* found = nullptr;
    const int how =
        openssl().SSL_select_next_proto(&found, chosen_bytes, reinterpret_cast<const unsigned char*>(ours.data()),
                                        static_cast<unsigned>(ours.size()), offered, offered_bytes);
    *chosen = found;
    return how == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// 1: with the key that is in use; 2: with another, so that the client gets a new ticket; 0: with none; -1: failed.
/// Source: SSL_CTX_set_tlsext_ticket_key_cb(3).
int TlsContext::protect_ticket(SSL* ssl, unsigned char* name, unsigned char* vector, EVP_CIPHER_CTX* cipher,
                               EVP_MAC_CTX* mac, int encrypts) {
    try {
        auto& self = *static_cast<const TlsContext*>(openssl().SSL_CTX_get_ex_data(openssl().SSL_get_SSL_CTX(ssl), 0));
        const auto now = std::chrono::system_clock::now();
        TicketKeys::Found used;
        if (encrypts != 0) {
            used = {.key = self.ticket_keys_->current(now), .is_current = true};
            std::ranges::copy(used.key.name, name);
            if (openssl().RAND_bytes(vector, openssl().EVP_CIPHER_get_iv_length(openssl().EVP_aes_256_cbc())) != 1)
                return -1;
        } else {
            TicketKeys::Name wanted;
            std::copy_n(name, wanted.size(), wanted.begin());
            const auto found = self.ticket_keys_->find(wanted, now);
            if (!found) return 0;
            used = *found;
        }
        std::array digest{'S', 'H', 'A', '2', '5', '6', '\0'};
        const std::array parameters{
            openssl().OSSL_PARAM_construct_octet_string("key", used.key.mac.data(), used.key.mac.size()),
            openssl().OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0),
            openssl().OSSL_PARAM_construct_end()};
        const auto init = encrypts != 0 ? openssl().EVP_EncryptInit_ex : openssl().EVP_DecryptInit_ex;
        if (openssl().EVP_MAC_CTX_set_params(mac, parameters.data()) != 1 ||
            init(cipher, openssl().EVP_aes_256_cbc(), nullptr, used.key.cipher.data(), vector) != 1)
            return -1;
        // With TLS 1.3 a ticket is for one time, so each resumption has to bring another.  Source: RFC 8446, C.4
        const bool is_spent = encrypts == 0 && openssl().SSL_version(ssl) >= TLS1_3_VERSION;
        return used.is_current && !is_spent ? 1 : 2;
    } catch (const std::exception&) { return -1; }
}

/// By now it is decided which certificate is shown.  Source: SSL_CTX_set_tlsext_status_cb(3)
int TlsContext::staple(SSL* ssl, void* context) {
    const auto& self = *static_cast<const TlsContext*>(context);
    if (openssl().SSL_get_certificate(ssl) != self.pairs_.front().chain.certificate.get()) return SSL_TLSEXT_ERR_NOACK;
    const std::string& response = self.ocsp_;
    auto* const copy = openssl().CRYPTO_memdup(response.data(), response.size(), __FILE__, __LINE__);  // OpenSSL's then
    if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
    openssl().SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, static_cast<long>(response.size()), copy);
    return SSL_TLSEXT_ERR_OK;
}

std::string read_tls_file(const std::string& key, const std::string& file) {
    try {
        return read_config_file(file, largest_file_bytes);
    } catch (const std::system_error& error) {
        const bool denied = error.code() == std::errc::permission_denied;
        throw OperatorError{denied ? ExitCode::Permission : ExitCode::Configuration,
                            fmt::format("{}={}: {}{}", key, file, error.what(),
                                        denied ? "; the daemon's user has to be able to read it" : "")};
    } catch (const std::exception& error) { refuse(key, file, error.what()); }
}

}  // namespace preforkd
