#include "common/tls/tls_client.hpp"

#include <utility>

namespace preforkd {

TlsClient::TlsClient(TlsClientSettings settings) : settings_{std::move(settings)} {
    openssl().ERR_clear_error();
    context_.reset(check_openssl(openssl().SSL_CTX_new(openssl().TLS_client_method())));
    SSL_CTX* const context = context_.get();
    // The system's configuration may allow less.
    check_openssl(openssl().SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr));
    openssl().SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    openssl().SSL_CTX_ctrl(context, SSL_CTRL_MODE, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER,
                           nullptr);
    openssl().SSL_CTX_set_verify(context, settings_.verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (settings_.explains) {
        openssl().SSL_CTX_set_cert_verify_callback(context, verify, this);
        openssl().SSL_CTX_set_cert_cb(
            context,
            [](SSL*, void* client) {
                static_cast<TlsClient*>(client)->was_asked_ = true;
                return 1;
            },
            this);
    }
    trust_authorities();
    show_certificate();
    offer_protocols();
}

void TlsClient::trust_authorities() {
    if (!settings_.authorities) {
        check_openssl(openssl().SSL_CTX_set_default_verify_paths(context_.get()));
        return;
    }
    X509_STORE* const store = openssl().SSL_CTX_get_cert_store(context_.get());
    check_openssl(openssl().X509_STORE_add_cert(store, settings_.authorities->certificate.get()));
    for (const CertificatePtr& each : settings_.authorities->others)
        check_openssl(openssl().X509_STORE_add_cert(store, each.get()));
    // What is named is believed, also where it is no root, but the server itself or what stands between.
    check_openssl(openssl().X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN));
}

void TlsClient::show_certificate() {
    if (!settings_.certificate) return;
    check_openssl(use_certificate(context_.get(), *settings_.certificate, settings_.key.get()));
}

void TlsClient::offer_protocols() {
    const std::string list = protocol_list(settings_.alpn);
    const auto* const bytes = reinterpret_cast<const unsigned char*>(list.data());
    if (!list.empty() &&
        openssl().SSL_CTX_set_alpn_protos(context_.get(), bytes, static_cast<unsigned>(list.size())) != 0)  // 0: done
        throw_openssl_error();
}

std::unique_ptr<TlsStream> TlsClient::connect(int fd) {
    if (settings_.explains) {
        distrust_.reset();
        was_asked_ = false;
    }
    std::unique_ptr<TlsStream> stream = TlsStream::connect(context_.get(), fd);
    SSL* const ssl = stream->ssl();
    const std::string& name = settings_.server_name;
    if (name.empty()) return stream;
    if (is_ip_address(name)) {
        check_openssl(openssl().X509_VERIFY_PARAM_set1_ip_asc(openssl().SSL_get0_param(ssl), name.c_str()));
        return stream;
    }
    check_openssl(openssl().SSL_set1_host(ssl, name.c_str()));
    // The subject is no name.  Source: RFC 9525, 2 and 6.3
    openssl().SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    check_openssl(openssl().SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                     const_cast<char*>(name.c_str())));
    return stream;
}

/// Before our certificate is shown to a server that is none of ours.
int TlsClient::verify(X509_STORE_CTX* store, void* client) noexcept {
    auto& self = *static_cast<TlsClient*>(client);
    const int verdict = openssl().X509_verify_cert(store);
    if (verdict > 0) return verdict;
    const int error = openssl().X509_STORE_CTX_get_error(store);
    Distrust distrust{.error = error,
                      .reason = openssl().X509_verify_cert_error_string(error),
                      .is_of_authority = openssl().X509_STORE_CTX_get_error_depth(store) > 0};
    if (X509* const certificate = openssl().X509_STORE_CTX_get_current_cert(store)) {
        distrust.certificate = describe_certificate(certificate);
        distrust.end = end_of(certificate);
    }
    self.distrust_ = std::move(distrust);
    return verdict;
}

}  // namespace preforkd
