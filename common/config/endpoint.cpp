#include "preforkd/endpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <stdexcept>

#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/config/endpoint_forms.hpp"

namespace preforkd {
namespace {

constexpr std::string_view known_forms =
    "tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH, unix://@NAME, unixgram:///PATH, fd://NAME, or with TLS "
    "tls://HOST:PORT, tls+unix:///PATH, tls+fd://NAME";
constexpr std::size_t longest_unix_path = 107;  // sun_path less its NUL.  Source: unix(7)
constexpr std::size_t longest_host = 253;       // Source: RFC 1035, 2.3.4
constexpr std::size_t longest_fd_name = 255;    // Source: sd_listen_fds(3)

constexpr std::array every_transport{Transport::Tcp, Transport::Udp, Transport::Unix, Transport::UnixDatagram,
                                     Transport::Passed};

struct Splitter {
    std::string_view whole;  ///< what was written, for the sentence
    Transport transport;

    [[noreturn]] void refuse(std::string_view reason) const {
        throw std::invalid_argument{fmt::format("{} {}", in_quotes(whole), reason)};
    }
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// Reads decimal digits and nothing else, at most `max`.
std::optional<unsigned> read_decimal(std::string_view text, unsigned max) {
    const auto number = parse_number<unsigned>(text);
    return number && *number <= max ? number : std::nullopt;
}

/// Four octets without leading zeros.  The resolver would read `1.2.3` as 1.2.0.3 and `010.0.0.1` as 8.0.0.1.
bool is_ipv4(std::string_view host) {
    for (int octets = 1; octets <= 4; ++octets) {
        const std::string_view octet = host.substr(0, host.find('.'));
        if (octet.size() > 3 || (octet.size() > 1 && octet[0] == '0') || !read_decimal(octet, 255)) return false;
        host.remove_prefix(octet.size());
        if (host.empty()) return octets == 4;
        host.remove_prefix(1);
    }
    return false;
}

/// Whether it can be an IPv6 address, perhaps with `%ZONE`.  The resolver has the last word.
bool looks_like_ipv6(std::string_view host) {
    const std::size_t percent = host.find('%');
    const std::string_view address = host.substr(0, percent);
    if (percent != std::string_view::npos) {
        const std::string_view zone = host.substr(percent + 1);
        const auto names_interface = [](char c) {
            return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_';
        };
        if (zone.empty() || !std::all_of(zone.begin(), zone.end(), names_interface)) return false;
    }
    return address.size() <= 45 && std::count(address.begin(), address.end(), ':') >= 2 &&
           std::all_of(address.begin(), address.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

void check_host(const Splitter& split, std::string_view host, std::string_view port) {
    if (host == "*")
        split.refuse(fmt::format("names the host `*`; every address is the empty host: {}://:{}",
                                 to_string(split.transport), printable(port)));
    if (host.find(':') != std::string_view::npos)
        split.refuse(fmt::format("has a colon in its host; an IPv6 address stands in brackets: {}://[{}]:{}",
                                 to_string(split.transport), looks_like_ipv6(host) ? host : "::1",
                                 looks_like_ipv6(host) ? printable(port) : "80"));
    if (host.size() > longest_host)
        split.refuse(fmt::format("has a host of {} bytes; a name has at most {}", host.size(), longest_host));
    if (!std::all_of(host.begin(), host.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_'; }))
        split.refuse("has a host that is neither a name nor an address; names have letters, digits, `.`, `-` and `_`");
    const bool numeric = std::all_of(host.begin(), host.end(), [](char c) { return is_digit(c) || c == '.'; });
    if (numeric && !host.empty() && !is_ipv4(host))
        split.refuse("has a host that is not an IPv4 address; expected four numbers from 0 to 255, as in 127.0.0.1");
}

std::uint16_t read_port(const Splitter& split, std::string_view text) {
    if (text.empty()) split.refuse("has an empty port; expected a number from 0 to 65535");
    const auto port = text.size() <= 5 ? read_decimal(text, 65535) : std::nullopt;
    if (!port) split.refuse(fmt::format("has the port {}; expected a number from 0 to 65535", in_quotes(text)));
    return static_cast<std::uint16_t>(*port);
}

Endpoint read_internet(const Splitter& split, std::string_view rest) {
    Endpoint endpoint{.transport = split.transport};
    const bool bracketed = rest.starts_with('[');
    const std::size_t bracket = rest.find(']');
    if (bracketed) {
        if (bracket == std::string_view::npos) split.refuse("has no `]` behind its IPv6 address");
        const std::string_view host = rest.substr(1, bracket - 1);
        if (!looks_like_ipv6(host)) split.refuse("has no IPv6 address in its brackets; expected one, as in [::1]:80");
        endpoint.host = host;
        rest.remove_prefix(bracket + 1);
        if (!rest.empty() && rest[0] != ':') split.refuse("has text between `]` and its port; expected [HOST]:PORT");
    }
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos)
        split.refuse(fmt::format("has no port; expected {}://HOST:PORT", to_string(split.transport)));
    const std::string_view port = rest.substr(colon + 1);
    if (!bracketed) {
        check_host(split, rest.substr(0, colon), port);
        endpoint.host = rest.substr(0, colon);
    } else if (colon != 0) {
        split.refuse("has more than a port behind `]`; expected [HOST]:PORT");
    }
    endpoint.port = read_port(split, port);
    return endpoint;
}

Endpoint read_unix(const Splitter& split, std::string_view rest) {
    Endpoint endpoint{.transport = split.transport};
    const std::string_view scheme = to_string(split.transport);
    endpoint.abstract = rest.starts_with('@');
    if (endpoint.abstract) rest.remove_prefix(1);
    if (rest.empty()) split.refuse(fmt::format("has no name; expected {0}:///PATH or {0}://@NAME", scheme));
    if (!endpoint.abstract && rest[0] != '/')
        split.refuse(fmt::format("has a path that is not absolute; expected {}:///PATH, three slashes", scheme));
    if (!endpoint.abstract && rest.back() == '/')
        split.refuse(fmt::format("names a directory; expected a socket file, as in {}:///run/x.sock", scheme));
    if (rest.size() > longest_unix_path)
        split.refuse(fmt::format("has a {} of {} bytes; the kernel takes at most {}",
                                 endpoint.abstract ? "name" : "path", rest.size(), longest_unix_path));
    endpoint.path = rest;
    return endpoint;
}

Endpoint read_passed(const Splitter& split, std::string_view rest) {
    const auto allowed = [](char c) { return c >= ' ' && c < 0x7f && c != ':'; };
    if (rest.empty()) split.refuse("has no name; expected fd://NAME with the FileDescriptorName= of the socket unit");
    if (rest.size() > longest_fd_name || !std::all_of(rest.begin(), rest.end(), allowed))
        split.refuse("has a name that no socket unit can have; expected at most 255 ASCII characters without `:`");
    return {.transport = Transport::Passed, .path = std::string{rest}};
}

std::optional<Endpoint> try_parse(const std::string& text) {
    try {
        return parse_endpoint(text);
    } catch (const std::invalid_argument&) { return std::nullopt; }
}

/// Says what the writer of an endpoint without `://` may have meant.
[[noreturn]] void refuse_without_scheme(std::string_view text, std::string_view forms) {
    std::string remedy = fmt::format("expected {}", forms);
    std::string bare{text};
    for (const Transport transport : every_transport) {  // `tcp:host:80`, `unix:/run/x`
        const std::string start = std::string{to_string(transport)} + ':';
        if (bare.starts_with(start)) {
            const std::string fixed = start + "//" + bare.substr(start.size());
            if (try_parse(fixed))
                throw std::invalid_argument{
                    fmt::format("{} lacks the `//`: write {}", in_quotes(text), printable(fixed))};
        }
    }
    for (const std::string& start : {std::string{"tcp://"}, std::string{"unix://"}, std::string{"tcp://:"}})
        if (try_parse(start + bare)) {
            remedy = fmt::format("write {}", printable(start + bare));
            break;
        }
    throw std::invalid_argument{fmt::format("{} has no scheme: {}", in_quotes(text), remedy)};
}

std::string host_and_port(const Endpoint& endpoint) {
    const bool ipv6 = endpoint.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", ipv6 ? "[" : "", endpoint.host, ipv6 ? "]" : "", endpoint.port);
}

}  // namespace

std::string_view to_string(Transport transport) noexcept {
    switch (transport) {
        case Transport::Tcp: return "tcp";
        case Transport::Udp: return "udp";
        case Transport::Unix: return "unix";
        case Transport::UnixDatagram: return "unixgram";
        case Transport::Passed: return "fd";
    }
    return "";
}

Endpoint parse_endpoint(std::string_view text) { return parse_endpoint(text, known_forms); }

Endpoint parse_endpoint(std::string_view text, std::string_view forms) {
    if (text.empty()) throw std::invalid_argument{fmt::format("the endpoint is empty; expected {}", forms)};
    if (std::any_of(text.begin(), text.end(), is_control))
        throw std::invalid_argument{
            fmt::format("{} contains a control character; expected {}", in_quotes(text), forms)};
    if (text[0] == ':' && !text.starts_with("://"))
        return read_internet({.whole = text, .transport = Transport::Tcp}, text);

    const std::size_t mark = text.find("://");
    if (mark == std::string_view::npos) refuse_without_scheme(text, forms);
    const std::string_view scheme = text.substr(0, mark);
    const std::string_view rest = text.substr(mark + 3);
    for (const Transport transport : every_transport) {
        if (scheme != to_string(transport)) continue;
        const Splitter split{.whole = text, .transport = transport};
        switch (transport) {
            case Transport::Tcp:
            case Transport::Udp: return read_internet(split, rest);
            case Transport::Unix:
            case Transport::UnixDatagram: return read_unix(split, rest);
            case Transport::Passed: return read_passed(split, rest);
        }
    }
    throw std::invalid_argument{
        fmt::format("{} has the unknown scheme {}; expected {}", in_quotes(text), in_quotes(scheme), forms)};
}

std::string address_of(const Endpoint& endpoint) {
    switch (endpoint.transport) {
        case Transport::Tcp:
        case Transport::Udp: return host_and_port(endpoint);
        case Transport::Unix:
        case Transport::UnixDatagram:
            if (endpoint.abstract) return '@' + endpoint.path;
            return endpoint.path.empty() ? "unnamed" : endpoint.path;
        case Transport::Passed: return endpoint.path;
    }
    return {};
}

std::string to_string(const Endpoint& endpoint) {
    return fmt::format("{}://{}", to_string(endpoint.transport), address_of(endpoint));
}

}  // namespace preforkd
