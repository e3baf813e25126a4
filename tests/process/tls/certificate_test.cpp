#include "common/tls/certificate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "common/tls/self_signed.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const CertificatePair& some_pair() {
    static const CertificatePair made =
        make_self_signed({"Example.org", "*.example.org", "127.0.0.1"}, std::chrono::days{30});
    return made;
}

template <class Read>
std::string refusal(const Read& read, std::string_view text) {
    try {
        (void)read(text);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

TEST(Certificate, a_chain_is_read_whatever_stands_between) {
    const std::string& one = some_pair().certificate;
    EXPECT_EQ(read_certificates(one).others.size(), 0U);
    EXPECT_EQ(read_certificates("a remark\n" + one + "\n\nanother\n" + one + one).others.size(), 2U);
    EXPECT_EQ(read_certificates(some_pair().key + one).others.size(), 0U) << "a key may stand in the same file";
    EXPECT_NE(read_private_key(one + some_pair().key), nullptr);
}

TEST(Certificate, its_host_names_are_in_lower_case_and_no_address_is_one) {
    const CertificateChain chain = read_certificates(some_pair().certificate);
    EXPECT_THAT(host_names_of(chain.certificate.get()), ElementsAre("example.org", "*.example.org"));
    EXPECT_THAT(describe_certificate(chain.certificate.get()).names,
                ElementsAre("DNS:Example.org", "DNS:*.example.org", "IP:127.0.0.1"));
    EXPECT_EQ(describe_certificate(chain.certificate.get()).sha256.size(), 64U);
}

TEST(Certificate, what_is_none_is_refused_with_a_sentence) {
    const std::string& good = some_pair().certificate;
    for (const std::string& text : {std::string{}, std::string{"text"}, std::string(1000, '\0'), some_pair().key})
        EXPECT_EQ(refusal(read_certificates, text), "no certificate in it; expected PEM");
    EXPECT_THAT(refusal(read_certificates, good.substr(0, good.size() / 2)), HasSubstr("not a valid certificate: "));
    EXPECT_THAT(refusal(read_certificates, good + good.substr(0, good.size() / 2)),
                HasSubstr("not a valid certificate: "));
    for (const std::string& text : {std::string{}, std::string{"text"}, good})
        EXPECT_EQ(refusal(read_private_key, text), "no private key in it; expected PEM");
    EXPECT_THAT(refusal(read_private_key, some_pair().key.substr(0, 100)), HasSubstr("not a valid private key"));
    EXPECT_EQ(refusal(read_revocations, good), "no revocation list in it; expected PEM");
}

}  // namespace
}  // namespace preforkd
