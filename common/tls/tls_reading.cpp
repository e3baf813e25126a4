#include "common/tls/tls_reading.hpp"

#include <fmt/core.h>

#include <exception>

#include "common/base/counted.hpp"
#include "common/base/operator_error.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/tls_scheme.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::days soon{14};

std::string name_of(const ListenSettings& listen, const Origin& asked_by = {}) {
    return fmt::format("{} {}", name_at(asked_by, "listen"), add_tls(to_string(listen.endpoint)));
}

void load_openssl(const ListenSettings& listen, const Origin& asked_by) {
    try {
        (void)openssl();
    } catch (const std::exception& error) {
        throw OperatorError{ExitCode::Configuration, fmt::format("{}: TLS needs OpenSSL: {}; install libssl3",
                                                                 name_of(listen, asked_by), error.what())};
    }
}

}  // namespace

std::shared_ptr<const TlsContext> read_tls(const ListenSettings& listen, const std::shared_ptr<TicketKeys>& ticket_keys,
                                           const std::shared_ptr<Signer>& signer, const Origin& asked_by) {
    if (!listen.tls) return nullptr;
    load_openssl(listen, asked_by);
    try {
        return std::make_shared<const TlsContext>(*listen.tls, to_string(listen.endpoint), ticket_keys, read_tls_file,
                                                  signer);
    } catch (const OperatorError& error) {
        throw OperatorError{error.code(), fmt::format("{}: {}", name_of(listen, asked_by), error.what())};
    }
}

std::vector<KeyToServe> keys_to_serve(const ListenSettings& listen, const TlsContext& context) {
    std::vector<KeyToServe> keys;
    for (X509* const certificate : context.certificates_of_remote_keys())
        keys.push_back({.listener = name_of(listen),
                        .certificate = listen.tls->certificates[keys.size()],
                        .file = listen.tls->keys[keys.size()],
                        .parsed = certificate});
    return keys;
}

std::string expiry_warning(const ListenSettings& listen, const TlsContext& context,
                           std::chrono::system_clock::time_point now) {
    const auto& [file, end] = context.first_expiry();
    if (end <= now) return fmt::format("{}: certificate={} has expired; renew it and reload", name_of(listen), file);
    if (end > now + soon) return "";
    const auto days = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::days>(end - now).count());
    return fmt::format("{}: certificate={} expires in {}; renew it and reload", name_of(listen), file,
                       counted(days, "day"));
}

}  // namespace preforkd
