#include "common/tls/server_context.hpp"

#include <gmock/gmock.h>

#include "common/base/operator_error.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

CertificatePair made_for(const std::vector<std::string>& names) {
    return make_self_signed(names, std::chrono::days{30});
}

/// The common name of the certificate that a client gets who asks for `name`.
std::string shown_to(const TlsContext& context, const std::string& name) {
    TlsPair pair{context, name};
    if (!pair.shake_hands()) return "none";
    const auto certificate = pair.client->facts().certificate;
    return certificate ? certificate->names.front() : "none";
}

TEST(TlsContext, the_name_that_a_client_asks_for_decides) {
    const std::vector<CertificatePair> pairs{made_for({"first.example"}), made_for({"*.example.org", "example.org"}),
                                             made_for({"one.example.org"})};
    const auto context = context_of(pairs);
    EXPECT_EQ(shown_to(*context, "first.example"), "DNS:first.example");
    EXPECT_EQ(shown_to(*context, "example.org"), "DNS:*.example.org");
    EXPECT_EQ(shown_to(*context, "two.example.org"), "DNS:*.example.org");
    EXPECT_EQ(shown_to(*context, "ONE.example.ORG"), "DNS:one.example.org") << "the exact name goes first";
    for (const char* other : {"", "other.example", "a.b.example.org", "xexample.org"})
        EXPECT_EQ(shown_to(*context, other), "DNS:first.example") << other;
}

/// The sentence with which the settings are refused.
std::string refusal(const std::vector<CertificatePair>& pairs, TlsSettings settings = {}) {
    try {
        (void)context_of(pairs, std::move(settings));
        return {};
    } catch (const OperatorError& error) {
        EXPECT_EQ(error.code(), ExitCode::Configuration);
        return error.what();
    }
}

TEST(TlsContext, what_cannot_be_used_is_named) {
    const CertificatePair good = made_for({"localhost"});
    const CertificatePair other = made_for({"localhost"});
    EXPECT_EQ(refusal({good}), "");
    EXPECT_THAT(refusal({good, {.certificate = good.certificate, .key = other.key}}),
                HasSubstr("key=1: is not the key of certificate=1"));
    EXPECT_THAT(refusal({{.certificate = good.key, .key = good.key}}),
                HasSubstr("certificate=0: no certificate in it"));
    EXPECT_THAT(refusal({{.certificate = good.certificate, .key = good.certificate}}),
                HasSubstr("key=0: no private key in it"));
    EXPECT_THAT(refusal({good}, {.ciphers = "NONE"}), HasSubstr("ciphers=NONE: names no cipher"));
    EXPECT_THAT(refusal({good}, {.ocsp = "0"}), HasSubstr("ocsp=0: no answer of an OCSP server"));
}

TEST(TlsContext, the_first_to_expire_is_known) {
    const std::vector<CertificatePair> pairs{made_for({"a"}), make_self_signed({"b"}, std::chrono::days{3}),
                                             made_for({"c"})};
    const auto context = context_of(pairs);
    EXPECT_EQ(context->first_expiry().file, "1");
    const auto left = context->first_expiry().end - std::chrono::system_clock::now();
    EXPECT_GT(left, 2 * 24h);
    EXPECT_LE(left, 3 * 24h + 1min);
}

}  // namespace
}  // namespace preforkd
