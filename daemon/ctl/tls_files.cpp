#include "daemon/ctl/tls_files.hpp"

#include <fmt/core.h>

#include <exception>
#include <stdexcept>

#include "common/base/quoted.hpp"
#include "common/base/wiped_text.hpp"
#include "common/config/config_file.hpp"
#include "common/tls/openssl.hpp"

namespace preforkd {
namespace {

constexpr std::size_t largest_file_bytes = std::size_t{16} << 20;  // a system's authorities are 200 KiB

template <class Read>
auto read_file(std::string_view option, const std::string& file, const Read& read) {
    try {
        const WipedText text{read_config_file(file, largest_file_bytes)};
        return read(text.text());
    } catch (const std::system_error& error) {
        throw std::runtime_error{fmt::format("{} {}: {}", option, printable(file), error.code().message())};
    } catch (const std::exception& error) {
        throw std::runtime_error{fmt::format("{} {}: {}", option, printable(file), error.what())};
    }
}

}  // namespace

void load_openssl() {
    try {
        (void)openssl();
    } catch (const std::runtime_error& error) {
        throw std::runtime_error{fmt::format("TLS takes OpenSSL 3 (the package libssl3): {}", error.what())};
    }
}

TlsClientSettings read_tls_files(const TlsRequest& request) {
    load_openssl();
    TlsClientSettings settings{.server_name = request.server_name, .verifies = !request.insecure, .alpn = request.alpn};
    if (request.authorities) settings.authorities = read_file("--ca", *request.authorities, read_certificates);
    if (!request.certificate) return settings;
    settings.certificate = read_file("--cert", *request.certificate, read_certificates);
    const std::string& key_file = request.key.value_or(*request.certificate);
    settings.key = read_file(request.key ? "--key" : "--cert", key_file, read_private_key);
    if (openssl().X509_check_private_key(settings.certificate->certificate.get(), settings.key.get()) != 1)
        throw std::runtime_error{
            fmt::format("--key {}: is not the key of --cert {}", printable(key_file), printable(*request.certificate))};
    return settings;
}

}  // namespace preforkd
