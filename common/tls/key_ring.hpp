#pragma once
// Private keys, and what is signed with them.
#include <map>
#include <utility>

#include "common/tls/openssl.hpp"
#include "common/tls/signing.hpp"

namespace preforkd {

class KeyRing {
public:
    void add(const KeyName& name, KeyPtr key) { keys_.insert_or_assign(name, std::move(key)); }

    /// Has OpenSSL load whatever it loads when it is first needed.
    void warm_up() const;

    /// One thread's use of the keys.
    class Use {
    public:
        explicit Use(const KeyRing& keys) : keys_{keys} {}

        /// Signs what fits the key, and else nothing.
        void answer(const SigningRequest& request, SigningAnswer& answer);

    private:
        [[nodiscard]] EVP_PKEY_CTX* context_for(EVP_PKEY* key, SigningKind kind);

        const KeyRing& keys_;
        std::map<std::pair<EVP_PKEY*, SigningKind>, KeyContextPtr> contexts_{};
    };

private:
    std::map<KeyName, KeyPtr> keys_{};
};

}  // namespace preforkd
