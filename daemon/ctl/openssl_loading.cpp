#include "daemon/ctl/openssl_loading.hpp"

#include <fmt/core.h>

#include <stdexcept>

#include "common/tls/openssl.hpp"

namespace preforkd {

void load_openssl() {
    try {
        (void)openssl();
    } catch (const std::runtime_error& error) {
        throw std::runtime_error{fmt::format("TLS takes OpenSSL 3 (the package libssl3): {}", error.what())};
    }
}

}  // namespace preforkd
