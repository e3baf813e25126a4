#include "common/tls/self_signed.hpp"

#include <fmt/core.h>

#include <array>
#include <stdexcept>

#include "common/tls/certificate.hpp"

namespace preforkd {
namespace {

constexpr std::chrono::seconds clock_difference = std::chrono::hours{1};
constexpr std::size_t longest_common_name = 64;  // Source: RFC 5280, appendix A.1: ub-common-name

template <class Result>
Result check(Result result) {
    return check_openssl(result, "make a certificate");
}

/// 126 random bits, so that no two are alike; neither negative nor with a zero in front, which DER has not.
void set_serial(X509* certificate) {
    std::array<unsigned char, 16> serial{};
    check(openssl().RAND_bytes(serial.data(), static_cast<int>(serial.size())) == 1);
    serial[0] = static_cast<unsigned char>((serial[0] & 0x3fU) | 0x40U);
    check(openssl().ASN1_STRING_set(openssl().X509_get_serialNumber(certificate), serial.data(),
                                    static_cast<int>(serial.size())));
}

void set_subject(X509* certificate, const std::string& name) {
    X509_NAME* const subject = openssl().X509_get_subject_name(certificate);
    const auto add = [&](const char* field, const std::string& value) {
        check(openssl().X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                                                   reinterpret_cast<const unsigned char*>(value.data()),
                                                   static_cast<int>(value.size()), -1, 0));
    };
    add("O", "preforkctl certificate");  // so that who finds it in a browser knows where it is from
    if (name.size() <= longest_common_name) add("CN", name);
    check(openssl().X509_set_issuer_name(certificate, subject));
}

struct ExtensionFree {
    void operator()(X509_EXTENSION* extension) const noexcept { openssl().X509_EXTENSION_free(extension); }
};

void add_extension(X509* certificate, int kind, const std::string& value) {
    X509V3_CTX context{};
    openssl().X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, ExtensionFree> extension{
        check(openssl().X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()))};
    check(openssl().X509_add_ext(certificate, extension.get(), -1));
}

std::string alternative_names(const std::vector<std::string>& names) {
    std::string all;
    for (const std::string& name : names) {
        if (name.empty() || name.find_first_of(",;\n\r") != std::string::npos)  // it would be read as several
            throw std::runtime_error{"make a certificate: not a name"};
        all += fmt::format("{}{}:{}", all.empty() ? "" : ",", is_ip_address(name) ? "IP" : "DNS", name);
    }
    return all;
}

template <class Write>
std::string written_by(const Write& write) {
    const BioPtr bio{check(openssl().BIO_new(openssl().BIO_s_mem()))};
    check(write(bio.get()) == 1);
    char* text = nullptr;
    const long size = openssl().BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, &text);
    return {text, static_cast<std::size_t>(size)};
}

}  // namespace

CertificatePair make_self_signed(const std::vector<std::string>& names, std::chrono::days valid) {
    openssl().ERR_clear_error();
    const KeyPtr key{check(openssl().EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))};
    const CertificatePtr owned{check(openssl().X509_new())};
    X509* const certificate = owned.get();
    check(openssl().X509_set_version(certificate, X509_VERSION_3));
    set_serial(certificate);
    set_subject(certificate, names.at(0));
    check(openssl().X509_gmtime_adj(openssl().X509_getm_notBefore(certificate), -clock_difference.count()));
    check(openssl().X509_time_adj_ex(openssl().X509_getm_notAfter(certificate), static_cast<int>(valid.count()), 0,
                                     nullptr));
    check(openssl().X509_set_pubkey(certificate, key.get()));
    // Not an authority: browsers refuse one as a server, and who trusts this trusts nothing else.
    add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate, NID_key_usage, "critical,digitalSignature");
    add_extension(certificate, NID_ext_key_usage, "serverAuth");
    add_extension(certificate, NID_subject_alt_name, alternative_names(names));
    // With these a client that trusts several of one name finds the right one.
    add_extension(certificate, NID_subject_key_identifier, "hash");
    add_extension(certificate, NID_authority_key_identifier, "keyid:always");
    check(openssl().X509_sign(certificate, key.get(), openssl().EVP_sha256()));
    return {.certificate = written_by([&](BIO* bio) { return openssl().PEM_write_bio_X509(bio, certificate); }),
            .key = written_by([&](BIO* bio) {
                return openssl().PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
            })};
}

}  // namespace preforkd
