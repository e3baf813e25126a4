#include "common/tls/key_ring.hpp"

#include <algorithm>

namespace preforkd {

namespace {

bool fits(int key, SigningKind kind) {
    switch (kind) {
        case SigningKind::Ecdsa: return key == EVP_PKEY_EC;
        case SigningKind::RsaPkcs1:
        case SigningKind::RsaRaw: return key == EVP_PKEY_RSA;
    }
    return false;  // a worker may say anything
}

}  // namespace

EVP_PKEY_CTX* KeyRing::Use::context_for(EVP_PKEY* key, SigningKind kind) {
    if (const auto known = contexts_.find({key, kind}); known != contexts_.end()) return known->second.get();
    if (!fits(openssl().EVP_PKEY_get_base_id(key), kind)) return nullptr;
    KeyContextPtr context{openssl().EVP_PKEY_CTX_new(key, nullptr)};
    if (!context || openssl().EVP_PKEY_sign_init(context.get()) != 1) return nullptr;
    if (kind != SigningKind::Ecdsa) {
        const int padding = kind == SigningKind::RsaRaw ? RSA_NO_PADDING : RSA_PKCS1_PADDING;
        if (openssl().EVP_PKEY_CTX_set_rsa_padding(context.get(), padding) != 1) return nullptr;
    }
    return contexts_.emplace(std::pair{key, kind}, std::move(context)).first->second.get();
}

void KeyRing::Use::answer(const SigningRequest& request, SigningAnswer& answer) {
    answer.number = request.number;
    answer.size = 0;
    const auto key = keys_.keys_.find(request.key);
    if (key == keys_.keys_.end() || request.size > request.bytes.size()) return;
    std::size_t size = answer.bytes.size();
    EVP_PKEY_CTX* const context = context_for(key->second.get(), request.kind);
    if (context != nullptr &&
        openssl().EVP_PKEY_sign(context, answer.bytes.data(), &size, request.bytes.data(), request.size) == 1)
        answer.size = size;
    else
        openssl().ERR_clear_error();
}

void KeyRing::warm_up() const {
    Use use{*this};
    for (const auto& [name, key] : keys_)
        for (const SigningKind kind : {SigningKind::Ecdsa, SigningKind::RsaPkcs1}) {
            SigningAnswer answer;
            use.answer({.number = 1, .key = name, .kind = kind, .size = sizeof(KeyName)}, answer);
        }
}

}  // namespace preforkd
