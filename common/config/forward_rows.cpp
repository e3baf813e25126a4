// to= and the others of the handler `forward`.
#include <fmt/core.h>

#include <array>
#include <stdexcept>

#include "common/base/units.hpp"
#include "common/config/endpoint_forms.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/named_value.hpp"
#include "common/config/option_values.hpp"
#include "common/config/tls_scheme.hpp"

namespace preforkd {

namespace {

constexpr std::string_view streams = "tcp, unix, fd";
constexpr std::string_view forms_of_targets =
    "tcp://HOST:PORT, unix:///PATH, unix://@NAME, or with TLS tls://HOST:PORT, tls+unix:///PATH";

constexpr std::array<Named<SendProxy>, 3> proxy_versions{
    {{"no", SendProxy::No}, {"v1", SendProxy::V1}, {"v2", SendProxy::V2}}};

[[noreturn]] void refuse_target(std::string_view word, std::string_view text) {
    refuse_prefix(word, "targets such as tcp://10.0.0.1:80,unix:///run/web.sock or tls://web.example:443", text);
}

ForwardTarget parse_target(std::string_view word, std::string_view text) {
    const TlsScheme scheme = strip_tls(word, "tls://HOST:PORT, tls+unix:///PATH or tls+unix://@NAME");
    ForwardTarget target{.endpoint = parse_endpoint(scheme.address, forms_of_targets), .tls = scheme.tls};
    const Endpoint& endpoint = target.endpoint;
    const bool is_unix = endpoint.transport == Transport::Unix && !endpoint.path.empty();
    if (!is_unix && (endpoint.transport != Transport::Tcp || endpoint.port == 0)) refuse_target(word, text);
    return target;
}

constexpr std::array<ListenRow, 5> rows_of_forward{{
    {{"to", "ENDPOINT,...", streams, "with handler=forward: where its clients are sent, by turns, instead of --to"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.forward.to = parse_targets(text); },
     [](const ListenSettings& s) { return unless_empty(to_string(s.forward.to)); }},
    {{"send-proxy", "no|v1|v2", streams, "whether to= is told whose connection it gets: PROXY protocol (default no)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.forward.send_proxy = read_named(proxy_versions, text); },
     [](const ListenSettings& s) {
         return unless_empty(s.forward.send_proxy == SendProxy::No ? ""
                                                                   : name_of(proxy_versions, s.forward.send_proxy));
     }},
    {{"connect-timeout", "TIME", streams, "how long a target may take to accept (default 5s)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.forward.connect_timeout = read_patience(text, "5s"); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.forward.connect_timeout) return std::nullopt;
         return to_string(*s.forward.connect_timeout);
     }},
    {{"to-ca", "FILE", streams,
      "who signs the certificates of tls:// targets, PEM (default: whom the system believes)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.forward.ca = read_path(text, "a file"); },
     [](const ListenSettings& s) { return unless_empty(s.forward.ca); }},
    {{"to-name", "HOST", streams, "what these certificates have to be for (default: the target's host)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.forward.name = read_word(text, "the name of a host"); },
     [](const ListenSettings& s) { return unless_empty(s.forward.name); }},
}};

}  // namespace

std::vector<ForwardTarget> parse_targets(std::string_view text) {
    std::vector<ForwardTarget> targets;
    for (const std::string_view word : split_at_commas(text)) {
        if (word.empty()) refuse_target(word, text);
        targets.push_back(parse_target(word, text));
    }
    return targets;
}

std::string to_string(const ForwardTarget& target) {
    const std::string address = to_string(target.endpoint);
    return target.tls ? add_tls(address) : address;
}

std::string to_string(const std::vector<ForwardTarget>& targets) {
    std::string text;
    for (const ForwardTarget& target : targets) text += (text.empty() ? "" : ",") + to_string(target);
    return text;
}

std::span<const ListenRow> forward_rows() noexcept { return rows_of_forward; }

}  // namespace preforkd
