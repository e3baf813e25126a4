#include "common/tls/openssl.hpp"

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <stdexcept>

// As text, for the note below as well.
#define PREFORKD_LIBSSL "libssl.so.3"

namespace preforkd {
namespace {

constexpr auto note_text = std::to_array(R"([{"feature":"tls","description":"tls:// endpoints",)"
                                         R"("priority":"recommended","soname":[")" PREFORKD_LIBSSL R"("]}])");

alignas(std::uint32_t)
    [[gnu::used, gnu::section(".note.dlopen")]] constexpr DlopenNote<note_text.size()> note{.text = note_text};

}  // namespace

Openssl::Openssl() : library_{PREFORKD_LIBSSL} {
    // libcrypto's come along: it is what libssl needs.
#define PREFORKD_OPENSSL_FIND(name) library_.find(#name, name);
    PREFORKD_OPENSSL_FUNCTIONS(PREFORKD_OPENSSL_FIND)
#undef PREFORKD_OPENSSL_FIND
    // A forked child that leaves by exit(3) shall not tidy up what it shares with its parent.
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                     nullptr);
}

const Openssl& openssl() {
    static const Openssl loaded;
    return loaded;
}

std::string openssl_error() {
    const unsigned long code = openssl().ERR_get_error();
    openssl().ERR_clear_error();
    if (code == 0) return "";
    if (const char* const reason = openssl().ERR_reason_error_string(code)) return reason;
    std::array<char, 256> text{};
    openssl().ERR_error_string_n(code, text.data(), text.size());
    return text.data();
}

void throw_openssl_error(std::string_view attempt) {
    const std::string reason = openssl_error();
    throw std::runtime_error{attempt.empty() ? reason : fmt::format("{}: {}", attempt, reason)};
}

}  // namespace preforkd
