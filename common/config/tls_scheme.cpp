#include "common/config/tls_scheme.hpp"

#include <fmt/core.h>

#include <array>
#include <stdexcept>

#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

struct SchemePair {
    std::string_view with_tls;
    std::string_view without;
};
constexpr std::array<SchemePair, 3> scheme_pairs{{{"tls:", "tcp:"}, {"tls+unix:", "unix:"}, {"tls+fd:", "fd:"}}};

}  // namespace

TlsScheme strip_tls(std::string_view endpoint_text, std::string_view forms) {
    const std::string_view scheme = endpoint_text.substr(0, endpoint_text.find(':') + 1);
    const std::string_view rest = endpoint_text.substr(scheme.size());
    if (!scheme.starts_with("tls+") && !(scheme == "tls:" && rest.find_first_of(":/") != rest.npos))
        return {.address = std::string{endpoint_text}};  // of `tls:443`, too: parse_endpoint() knows what is meant
    for (const auto& [with_tls, without] : scheme_pairs) {
        if (scheme != with_tls) continue;
        if (!rest.starts_with("//"))
            throw std::invalid_argument{fmt::format("{} lacks the `//`; expected {}", in_quotes(endpoint_text), forms)};
        return {.tls = true, .address = std::string{without}.append(rest)};
    }
    throw std::invalid_argument{fmt::format("{} has the unknown scheme {}; expected {}", in_quotes(endpoint_text),
                                            in_quotes(scheme.substr(0, scheme.size() - 1)), forms)};
}

std::string add_tls(std::string_view address) {
    for (const auto& [with_tls, without] : scheme_pairs)
        if (address.starts_with(without)) return std::string{with_tls}.append(address.substr(without.size()));
    return std::string{address};
}

}  // namespace preforkd
