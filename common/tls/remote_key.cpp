#include "common/tls/remote_key.hpp"

#include <stdexcept>

namespace preforkd {

namespace {

constexpr int ours = 0;  // the number of what belongs to the application.  Source: CRYPTO_get_ex_new_index(3)

}  // namespace

/// What OpenSSL calls.  Source: RSA_meth_new(3); neverbleed.
struct RemoteKey::Methods {
    static int sign_ecdsa(int, const unsigned char* digest, int size, unsigned char* signature,
                          unsigned* signature_bytes, const BIGNUM*, const BIGNUM*, EC_KEY* key) {
        const auto& self = *static_cast<const RemoteKey*>(openssl().EC_KEY_get_ex_data(key, ours));
        const auto signed_bytes = self.sign(SigningKind::Ecdsa, digest, size, signature);
        if (!signed_bytes) return 0;
        *signature_bytes = static_cast<unsigned>(*signed_bytes);
        return 1;
    }

    static int encrypt_rsa(int size, const unsigned char* bytes, unsigned char* signature, RSA* key, int padding) {
        if (padding != RSA_PKCS1_PADDING && padding != RSA_NO_PADDING) return -1;
        const auto& self = *static_cast<const RemoteKey*>(openssl().RSA_get_ex_data(key, ours));
        const SigningKind kind = padding == RSA_NO_PADDING ? SigningKind::RsaRaw : SigningKind::RsaPkcs1;
        return self.sign(kind, bytes, size, signature).value_or(-1);
    }

    static int decrypt_rsa(int, const unsigned char*, unsigned char*, RSA*, int) { return -1; }

    [[nodiscard]] static const EC_KEY_METHOD* of_ec() {
        static const EC_KEY_METHOD* const method = [] {
            EC_KEY_METHOD* const made = check_openssl(openssl().EC_KEY_METHOD_new(openssl().EC_KEY_OpenSSL()));
            openssl().EC_KEY_METHOD_set_sign(made, sign_ecdsa, nullptr, nullptr);
            return made;
        }();
        return method;
    }

    [[nodiscard]] static const RSA_METHOD* of_rsa() {
        static const RSA_METHOD* const method = [] {
            RSA_METHOD* const made = check_openssl(openssl().RSA_meth_dup(openssl().RSA_PKCS1_OpenSSL()));
            openssl().RSA_meth_set_priv_enc(made, encrypt_rsa);
            openssl().RSA_meth_set_priv_dec(made, decrypt_rsa);
            return made;
        }();
        return method;
    }
};

RemoteKey::RemoteKey(X509* certificate, Signer& signer) : name_{key_name_of(certificate)}, signer_{signer} {
    EVP_PKEY* const of_certificate = check_openssl(openssl().X509_get0_pubkey(certificate), "read a public key");
    largest_signature_bytes_ = static_cast<std::size_t>(openssl().EVP_PKEY_get_size(of_certificate));
    key_ = KeyPtr{check_openssl(openssl().EVP_PKEY_new())};
    switch (openssl().EVP_PKEY_get_base_id(of_certificate)) {
        case EVP_PKEY_EC: {
            const EcKeyPtr key{check_openssl(openssl().EVP_PKEY_get1_EC_KEY(of_certificate))};  // a copy
            openssl().EC_KEY_set_ex_data(key.get(), ours, this);
            check_openssl(openssl().EC_KEY_set_method(key.get(), Methods::of_ec()));
            check_openssl(openssl().EVP_PKEY_set1_EC_KEY(key_.get(), key.get()));
            return;
        }
        case EVP_PKEY_RSA: {
            const RsaPtr key{check_openssl(openssl().EVP_PKEY_get1_RSA(of_certificate))};  // a copy
            openssl().RSA_set_ex_data(key.get(), ours, this);
            check_openssl(openssl().RSA_set_method(key.get(), Methods::of_rsa()));
            openssl().RSA_set_flags(key.get(), RSA_FLAG_EXT_PKEY);  // the private half is elsewhere
            check_openssl(openssl().EVP_PKEY_set1_RSA(key_.get(), key.get()));
            return;
        }
        default:
            throw std::invalid_argument{
                "key-process=yes takes keys of RSA and EC, and this is for another; leave it away there"};
    }
}

std::optional<int> RemoteKey::sign(SigningKind kind, const unsigned char* bytes, int size,
                                   unsigned char* signature) const noexcept {
    const auto signed_bytes = size < 0 ? std::nullopt
                                       : signer_.sign(name_, kind, {bytes, static_cast<std::size_t>(size)},
                                                      {signature, largest_signature_bytes_});
    if (signed_bytes) return static_cast<int>(*signed_bytes);
    openssl().ERR_new();
    openssl().ERR_set_debug(__FILE__, __LINE__, __func__);
    openssl().ERR_set_error(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "the key process has not signed");
    return std::nullopt;
}

}  // namespace preforkd
