#pragma once
// OpenSSL 3, which is opened once somebody asks for TLS, and stays.
//
// Linked, its mappings would be part of every fork: a sixth of what a forked child costs. What is not listed here is
// not used.

// Methods of RSA and EC keys are deprecated in favour of providers, which take a library of its own for each.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/loaded_library.hpp"

// Every function that is called.  Names in OpenSSL's headers that are not here are macros over one of these.
#define PREFORKD_OPENSSL_FUNCTIONS(X)       \
    X(ASN1_STRING_get0_data)                \
    X(ASN1_STRING_length)                   \
    X(ASN1_STRING_set)                      \
    X(ASN1_STRING_to_UTF8)                  \
    X(ASN1_TIME_to_tm)                      \
    X(BIO_clear_flags)                      \
    X(BIO_ctrl)                             \
    X(BIO_free)                             \
    X(BIO_get_data)                         \
    X(BIO_meth_new)                         \
    X(BIO_meth_set_ctrl)                    \
    X(BIO_meth_set_read_ex)                 \
    X(BIO_meth_set_write_ex)                \
    X(BIO_new)                              \
    X(BIO_new_mem_buf)                      \
    X(BIO_s_mem)                            \
    X(BIO_set_data)                         \
    X(BIO_set_flags)                        \
    X(BIO_set_init)                         \
    X(BIO_test_flags)                       \
    X(CRYPTO_free)                          \
    X(CRYPTO_memdup)                        \
    X(EC_KEY_METHOD_new)                    \
    X(EC_KEY_METHOD_set_sign)               \
    X(EC_KEY_OpenSSL)                       \
    X(EC_KEY_free)                          \
    X(EC_KEY_get_ex_data)                   \
    X(EC_KEY_set_ex_data)                   \
    X(EC_KEY_set_method)                    \
    X(ERR_clear_error)                      \
    X(ERR_error_string_n)                   \
    X(ERR_get_error)                        \
    X(ERR_new)                              \
    X(ERR_peek_error)                       \
    X(ERR_reason_error_string)              \
    X(ERR_set_debug)                        \
    X(ERR_set_error)                        \
    X(EVP_CIPHER_get_iv_length)             \
    X(EVP_DecryptInit_ex)                   \
    X(EVP_Digest)                           \
    X(EVP_EncryptInit_ex)                   \
    X(EVP_MAC_CTX_set_params)               \
    X(EVP_PKEY_CTX_free)                    \
    X(EVP_PKEY_CTX_new)                     \
    X(EVP_PKEY_CTX_set_rsa_padding)         \
    X(EVP_PKEY_Q_keygen)                    \
    X(EVP_PKEY_free)                        \
    X(EVP_PKEY_get1_EC_KEY)                 \
    X(EVP_PKEY_get1_RSA)                    \
    X(EVP_PKEY_get_base_id)                 \
    X(EVP_PKEY_get_size)                    \
    X(EVP_PKEY_new)                         \
    X(EVP_PKEY_set1_EC_KEY)                 \
    X(EVP_PKEY_set1_RSA)                    \
    X(EVP_PKEY_sign)                        \
    X(EVP_PKEY_sign_init)                   \
    X(EVP_aes_256_cbc)                      \
    X(EVP_sha256)                           \
    X(GENERAL_NAMES_free)                   \
    X(HMAC)                                 \
    X(OCSP_RESPONSE_free)                   \
    X(OCSP_response_status)                 \
    X(OPENSSL_init_ssl)                     \
    X(OPENSSL_sk_free)                      \
    X(OPENSSL_sk_new_null)                  \
    X(OPENSSL_sk_num)                       \
    X(OPENSSL_sk_push)                      \
    X(OPENSSL_sk_value)                     \
    X(OSSL_PARAM_construct_end)             \
    X(OSSL_PARAM_construct_octet_string)    \
    X(OSSL_PARAM_construct_utf8_string)     \
    X(PEM_read_bio_PrivateKey)              \
    X(PEM_read_bio_X509)                    \
    X(PEM_read_bio_X509_CRL)                \
    X(PEM_write_bio_PrivateKey)             \
    X(PEM_write_bio_X509)                   \
    X(RAND_bytes)                           \
    X(RSA_PKCS1_OpenSSL)                    \
    X(RSA_free)                             \
    X(RSA_get_ex_data)                      \
    X(RSA_meth_dup)                         \
    X(RSA_meth_set_priv_dec)                \
    X(RSA_meth_set_priv_enc)                \
    X(RSA_set_ex_data)                      \
    X(RSA_set_flags)                        \
    X(RSA_set_method)                       \
    X(SSL_CIPHER_get_name)                  \
    X(SSL_CTX_add_client_CA)                \
    X(SSL_CTX_callback_ctrl)                \
    X(SSL_CTX_ctrl)                         \
    X(SSL_CTX_free)                         \
    X(SSL_CTX_get_cert_store)               \
    X(SSL_CTX_get_ex_data)                  \
    X(SSL_CTX_new)                          \
    X(SSL_CTX_set_alpn_protos)              \
    X(SSL_CTX_set_alpn_select_cb)           \
    X(SSL_CTX_set_cert_cb)                  \
    X(SSL_CTX_set_cert_verify_callback)     \
    X(SSL_CTX_set_cipher_list)              \
    X(SSL_CTX_set_default_verify_paths)     \
    X(SSL_CTX_set_ex_data)                  \
    X(SSL_CTX_set_num_tickets)              \
    X(SSL_CTX_set_options)                  \
    X(SSL_CTX_set_session_id_context)       \
    X(SSL_CTX_set_tlsext_ticket_key_evp_cb) \
    X(SSL_CTX_set_verify)                   \
    X(SSL_CTX_use_cert_and_key)             \
    X(SSL_ctrl)                             \
    X(SSL_do_handshake)                     \
    X(SSL_free)                             \
    X(SSL_get0_alpn_selected)               \
    X(SSL_get0_param)                       \
    X(SSL_get0_peer_certificate)            \
    X(SSL_get_SSL_CTX)                      \
    X(SSL_get_certificate)                  \
    X(SSL_get_current_cipher)               \
    X(SSL_get_error)                        \
    X(SSL_get_servername)                   \
    X(SSL_get_verify_result)                \
    X(SSL_get_version)                      \
    X(SSL_has_pending)                      \
    X(SSL_new)                              \
    X(SSL_peek_ex)                          \
    X(SSL_read_ex)                          \
    X(SSL_select_next_proto)                \
    X(SSL_session_reused)                   \
    X(SSL_set1_host)                        \
    X(SSL_set_SSL_CTX)                      \
    X(SSL_set_accept_state)                 \
    X(SSL_set_bio)                          \
    X(SSL_set_connect_state)                \
    X(SSL_set_hostflags)                    \
    X(SSL_set_msg_callback)                 \
    X(SSL_shutdown)                         \
    X(SSL_version)                          \
    X(SSL_write_ex)                         \
    X(TLS_client_method)                    \
    X(TLS_server_method)                    \
    X(X509V3_EXT_conf_nid)                  \
    X(X509V3_set_ctx)                       \
    X(X509_CRL_free)                        \
    X(X509_EXTENSION_free)                  \
    X(X509_NAME_ENTRY_get_data)             \
    X(X509_NAME_add_entry_by_txt)           \
    X(X509_NAME_get_entry)                  \
    X(X509_NAME_get_index_by_NID)           \
    X(X509_NAME_print_ex)                   \
    X(X509_STORE_CTX_get_current_cert)      \
    X(X509_STORE_CTX_get_error)             \
    X(X509_STORE_CTX_get_error_depth)       \
    X(X509_STORE_add_cert)                  \
    X(X509_STORE_add_crl)                   \
    X(X509_STORE_set_flags)                 \
    X(X509_VERIFY_PARAM_set1_ip_asc)        \
    X(X509_add_ext)                         \
    X(X509_check_private_key)               \
    X(X509_digest)                          \
    X(X509_free)                            \
    X(X509_get0_notAfter)                   \
    X(X509_get0_pubkey)                     \
    X(X509_get_ext_d2i)                     \
    X(X509_get_serialNumber)                \
    X(X509_get_subject_name)                \
    X(X509_getm_notAfter)                   \
    X(X509_getm_notBefore)                  \
    X(X509_gmtime_adj)                      \
    X(X509_new)                             \
    X(X509_pubkey_digest)                   \
    X(X509_set_issuer_name)                 \
    X(X509_set_pubkey)                      \
    X(X509_set_version)                     \
    X(X509_sign)                            \
    X(X509_time_adj_ex)                     \
    X(X509_verify_cert)                     \
    X(X509_verify_cert_error_string)        \
    X(d2i_OCSP_RESPONSE)

namespace preforkd {

/// Each function by its own name: `openssl().SSL_new(context)`.
class Openssl {
public:
    /// Throws std::runtime_error with the loader's sentence when it cannot be loaded.
    Openssl();

private:
    LoadedLibrary library_;

public:
#define PREFORKD_OPENSSL_MEMBER(name) decltype(&::name) name{};  // NOLINT(bugprone-macro-parentheses): a declaration
    PREFORKD_OPENSSL_FUNCTIONS(PREFORKD_OPENSSL_MEMBER)
#undef PREFORKD_OPENSSL_MEMBER
};

/// Loads it with the first call, and throws as that does.
[[nodiscard]] const Openssl& openssl();

/// The oldest error of this thread's queue as OpenSSL words it, which empties the queue; "" where there is none.
[[nodiscard]] std::string openssl_error();

/// Throws std::runtime_error with openssl_error(), behind `attempt` where one is named.
[[noreturn]] void throw_openssl_error(std::string_view attempt = {});

/// `result`, unless it is zero or null: see throw_openssl_error().
template <class Result>
Result check_openssl(Result result, std::string_view attempt = {}) {
    if (!result) throw_openssl_error(attempt);
    return result;
}

template <auto Function>
struct OpensslFree {
    template <class Object>
    void operator()(Object* object) const noexcept {
        (openssl().*Function)(object);
    }
};

using BioPtr = std::unique_ptr<BIO, OpensslFree<&Openssl::BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, OpensslFree<&Openssl::X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, OpensslFree<&Openssl::X509_CRL_free>>;
using OcspPtr = std::unique_ptr<OCSP_RESPONSE, OpensslFree<&Openssl::OCSP_RESPONSE_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<&Openssl::EVP_PKEY_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<&Openssl::EVP_PKEY_CTX_free>>;
using RsaPtr = std::unique_ptr<RSA, OpensslFree<&Openssl::RSA_free>>;
using EcKeyPtr = std::unique_ptr<EC_KEY, OpensslFree<&Openssl::EC_KEY_free>>;
using StackPtr = std::unique_ptr<OPENSSL_STACK, OpensslFree<&Openssl::OPENSSL_sk_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<&Openssl::SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslFree<&Openssl::SSL_CTX_free>>;

}  // namespace preforkd
