#include "common/tls/certificate.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "common/base/lower_case.hpp"

namespace preforkd {
namespace {

/// Asked for the passphrase of a key, which OpenSSL would ask the terminal for.
int no_passphrase(char*, int, int, void*) { return -1; }

BioPtr reader_of(std::string_view text) {
    BioPtr bio{openssl().BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    if (!bio) throw std::bad_alloc{};
    return bio;
}

bool is_end_of_text() {
    const unsigned long code = openssl().ERR_peek_error();
    const bool over = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (over) openssl().ERR_clear_error();
    return over;
}

/// All objects of a kind that stand in a text, whatever stands between.
template <class Pointer, class Read>
std::vector<Pointer> read_all(std::string_view pem, const Read& read, const char* kind) {
    openssl().ERR_clear_error();
    const BioPtr bio = reader_of(pem);
    std::vector<Pointer> all;
    while (auto* const one = read(bio.get(), nullptr, no_passphrase, nullptr)) all.emplace_back(one);
    if (!is_end_of_text()) throw std::invalid_argument{fmt::format("not a valid {}: {}", kind, openssl_error())};
    if (all.empty()) throw std::invalid_argument{fmt::format("no {} in it; expected PEM", kind)};
    return all;
}

std::string text_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(openssl().ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(openssl().ASN1_STRING_length(string))};
}

std::string common_name_of(X509* certificate) {
    const X509_NAME* const subject = openssl().X509_get_subject_name(certificate);
    int last = -1;
    for (int next = -1; (next = openssl().X509_NAME_get_index_by_NID(subject, NID_commonName, next)) >= 0;) last = next;
    if (last < 0) return "";
    const ASN1_STRING* const data = openssl().X509_NAME_ENTRY_get_data(openssl().X509_NAME_get_entry(subject, last));
    unsigned char* utf8 = nullptr;
    const int size = openssl().ASN1_STRING_to_UTF8(&utf8, data);
    if (size < 0) {
        openssl().ERR_clear_error();
        return "";
    }
    std::string name{reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size)};
    openssl().CRYPTO_free(utf8, __FILE__, __LINE__);
    return name;
}

std::string subject_of(X509* certificate) {
    const BioPtr bio{openssl().BIO_new(openssl().BIO_s_mem())};
    if (!bio) throw std::bad_alloc{};
    openssl().X509_NAME_print_ex(bio.get(), openssl().X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char* text = nullptr;
    const long size = openssl().BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, &text);
    return {text, static_cast<std::size_t>(std::max(0L, size))};
}

std::string ip_text(const ASN1_STRING* bytes) {
    const std::string raw = text_of(bytes);
    std::array<char, INET6_ADDRSTRLEN> text{};
    const bool is_ipv4 = raw.size() == sizeof(in_addr);
    if (!is_ipv4 && raw.size() != sizeof(in6_addr)) return "";
    return ::inet_ntop(is_ipv4 ? AF_INET : AF_INET6, raw.data(), text.data(), text.size());
}

/// `DNS:example.org` and the like; empty for a kind that nobody asks for.
std::string name_of(const GENERAL_NAME& name) {
    switch (name.type) {
        case GEN_DNS: return "DNS:" + text_of(name.d.dNSName);
        case GEN_EMAIL: return "email:" + text_of(name.d.rfc822Name);
        case GEN_URI: return "URI:" + text_of(name.d.uniformResourceIdentifier);
        case GEN_IPADD: return "IP:" + ip_text(name.d.iPAddress);
        default: return "";
    }
}

std::vector<std::string> alternative_names_of(X509* certificate) {
    auto* const names =
        static_cast<GENERAL_NAMES*>(openssl().X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    if (names == nullptr) return {};
    auto* const stack = reinterpret_cast<OPENSSL_STACK*>(names);
    std::vector<std::string> texts;
    for (int i = 0; i < openssl().OPENSSL_sk_num(stack); ++i)
        if (std::string text = name_of(*static_cast<const GENERAL_NAME*>(openssl().OPENSSL_sk_value(stack, i)));
            !text.empty())
            texts.push_back(std::move(text));
    openssl().GENERAL_NAMES_free(names);
    return texts;
}

}  // namespace

CertificateChain read_certificates(std::string_view pem) {
    auto all = read_all<CertificatePtr>(pem, openssl().PEM_read_bio_X509, "certificate");
    CertificateChain chain{.certificate = std::move(all.front())};
    std::move(all.begin() + 1, all.end(), std::back_inserter(chain.others));
    return chain;
}

KeyPtr read_private_key(std::string_view pem) {
    openssl().ERR_clear_error();
    const BioPtr bio = reader_of(pem);
    KeyPtr key{openssl().PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
    if (key) return key;
    if (is_end_of_text() || pem.find("PRIVATE KEY-----") == pem.npos) {
        openssl().ERR_clear_error();
        throw std::invalid_argument{"no private key in it; expected PEM"};
    }
    if (pem.find("ENCRYPTED") != pem.npos) {
        openssl().ERR_clear_error();
        throw std::invalid_argument{"its key has a passphrase, which a daemon cannot ask for; take it off"};
    }
    throw std::invalid_argument{fmt::format("not a valid private key: {}", openssl_error())};
}

std::vector<CrlPtr> read_revocations(std::string_view pem) {
    return read_all<CrlPtr>(pem, openssl().PEM_read_bio_X509_CRL, "revocation list");
}

bool use_certificate(SSL_CTX* context, const CertificateChain& chain, EVP_PKEY* key) {
    const StackPtr others{openssl().OPENSSL_sk_new_null()};
    if (!others) return false;
    for (const CertificatePtr& each : chain.others)
        if (openssl().OPENSSL_sk_push(others.get(), each.get()) <= 0) return false;
    return openssl().SSL_CTX_use_cert_and_key(context, chain.certificate.get(), key,
                                              reinterpret_cast<STACK_OF(X509)*>(others.get()), 1) == 1;
}

bool is_ip_address(const std::string& name) {
    in6_addr address{};
    return ::inet_pton(AF_INET, name.c_str(), &address) == 1 || ::inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

std::string protocol_list(const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& name : names) list.append(1, static_cast<char>(name.size())).append(name);
    return list;
}

PeerCertificate describe_certificate(X509* certificate) {
    PeerCertificate described{.subject = subject_of(certificate),
                              .common_name = common_name_of(certificate),
                              .names = alternative_names_of(certificate)};
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    openssl().X509_digest(certificate, openssl().EVP_sha256(), digest.data(), &size);
    for (const unsigned char byte : std::span{digest}.first(size)) described.sha256 += fmt::format("{:02x}", byte);
    return described;
}

std::vector<std::string> host_names_of(X509* certificate) {
    constexpr std::string_view dns = "DNS:";
    std::vector<std::string> names;
    for (const std::string& name : alternative_names_of(certificate))
        if (name.starts_with(dns)) names.push_back(name.substr(dns.size()));
    if (names.empty()) names.push_back(common_name_of(certificate));
    for (std::string& name : names) name = lower_case(std::move(name));
    std::erase(names, "");
    return names;
}

std::chrono::system_clock::time_point end_of(X509* certificate) {
    std::tm time{};
    if (openssl().ASN1_TIME_to_tm(openssl().X509_get0_notAfter(certificate), &time) != 1) return {};
    return std::chrono::system_clock::from_time_t(::timegm(&time));
}

}  // namespace preforkd
