#include "daemon/ctl/ctl_options.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <stdexcept>

#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/base/units.hpp"
#include "common/config/control_endpoint.hpp"
#include "common/config/endpoint_forms.hpp"
#include "common/config/option_values.hpp"
#include "common/config/tls_scheme.hpp"
#include "daemon/ctl/certificate_order.hpp"

namespace preforkd {
namespace {

constexpr std::string_view forms_to_send_to =
    "tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH, unix://@NAME, unixgram:///PATH, or with TLS tls://HOST:PORT, "
    "tls+unix:///PATH";
constexpr std::string_view forms_of_tls = "tls://HOST:PORT, tls+unix:///PATH or tls+unix://@NAME";

bool is_endpoint(const std::string& word) {
    try {
        (void)parse_endpoint(strip_tls(word).address);
        return true;
    } catch (const std::invalid_argument&) { return false; }
}

/// What is wrong with an address is said of what was written.
Endpoint read_address(const TlsScheme& scheme) {
    try {
        return parse_endpoint(scheme.address, forms_to_send_to);
    } catch (const std::invalid_argument& error) {
        if (!scheme.tls) throw;
        std::string sentence = error.what();
        const std::string_view before = std::string_view{scheme.address}.substr(0, scheme.address.find("://") + 3);
        const std::string after = add_tls(before);
        for (std::size_t at = 0; (at = sentence.find(before, at)) != sentence.npos; at += after.size())
            sentence.replace(at, before.size(), after);
        refuse(sentence);
    }
}

void read_words(SendRequest& request, const std::vector<std::string>& words) {
    if (words.empty()) refuse("send: name an endpoint, such as tcp://localhost:10000");
    if (words.size() > 2)
        refuse(fmt::format("send: {} is one word too many; quote a TEXT of several words", in_quotes(words[2])));
    if (words.size() == 2 && !is_endpoint(words[0]) && is_endpoint(words[1]))
        refuse("send: the endpoint stands before the text: send ENDPOINT TEXT");
    const TlsScheme scheme = strip_tls(words[0], forms_of_tls);
    request.endpoint = read_address(scheme);
    if (scheme.tls) request.tls.emplace();
    if (words.size() == 2) request.text = words[1];
    if (request.text == "-") request.text = std::nullopt;
}

void check_request(const SendRequest& request) {
    const Transport transport = request.endpoint.transport;
    if (transport == Transport::Passed)
        refuse("send: fd:// is a socket that systemd passes to a server; name its tcp, udp, unix or unixgram endpoint");
    if ((transport == Transport::Tcp || transport == Transport::Udp) && request.endpoint.port == 0)
        refuse("send: port 0 is nobody's; name the port, which the server's log tells");
    if (request.expect && request.expect->empty())
        refuse("--expect: is empty, which every answer contains; name a text, or leave it");
    if (request.no_reply && !is_datagram(transport))
        refuse(fmt::format("--no-reply: is for udp and unixgram; the answer of {} ends by itself", to_string(request)));
    if (request.no_reply && request.expect) refuse("--no-reply: contradicts --expect; keep one");
}

/// The name to ask for, where none is said: that which the endpoint has.
std::string server_name_of(const Endpoint& endpoint) {
    if (endpoint.transport != Transport::Tcp) return "";
    if (endpoint.host.empty()) return "localhost";
    std::string name = endpoint.host.substr(0, endpoint.host.find('%'));
    if (name.ends_with('.')) name.pop_back();
    return name;
}

std::vector<std::string> read_alpn(const std::string& text) {
    constexpr std::size_t longest = 255;  // Source: RFC 7301, 3.1
    std::vector<std::string> names;
    for (const std::string_view name : split_at_commas(text)) {
        if (name.empty() || name.size() > longest)
            refuse(fmt::format("--alpn: expected names of protocols such as h2,http/1.1, not {}", in_quotes(text)));
        names.emplace_back(name);
    }
    return names;
}

std::string read_server_name(const std::string& text) {
    try {
        if (!text.starts_with('*')) return read_certified_name(text);
    } catch (const std::invalid_argument&) {  // said below
    }
    refuse(fmt::format("--servername: expected a host name or an IP address, not {}", in_quotes(text)));
}

void read_tls(SendRequest& request, const CommandLine& line) {
    for (const std::string_view option : {"ca", "cert", "key", "servername", "alpn", "insecure"})
        if (line.has(option) && !request.tls)
            refuse(fmt::format("--{}: is for tls:// and tls+unix://; {} is without TLS", option, to_string(request)));
    if (!request.tls) return;
    TlsRequest& tls = *request.tls;
    tls = {.server_name = server_name_of(request.endpoint),
           .insecure = line.has("insecure"),
           .authorities = line.value("ca"),
           .certificate = line.value("cert"),
           .key = line.value("key")};
    if (const auto name = line.value("servername")) tls.server_name = read_server_name(*name);
    if (const auto names = line.value("alpn")) tls.alpn = read_alpn(*names);
    if (tls.insecure && tls.authorities) refuse("--insecure: contradicts --ca; keep one");
    if (tls.key && !tls.certificate) refuse("--key: is the key of a certificate; name that with --cert FILE");
    if (tls.server_name.empty() && !tls.insecure)
        refuse("--servername: a path is no name for a certificate; say whose it has to be, or --insecure");
}

void read_proxy(SendRequest& request, const CommandLine& line) {
    const auto version = line.value("proxy");
    const auto source = line.value("proxy-source");
    if (source && !version) refuse("--proxy-source: is said by a header; name its version, too: --proxy v1 or v2");
    if (!version) return;
    request.proxy = {.version = read_proxy_version(*version)};
    if (request.proxy->version == ProxyVersion::V1 && is_datagram(request.endpoint.transport))
        refuse(fmt::format("--proxy: v1 is for streams; {} takes v2", to_string(request)));
    if (source) request.proxy->source = read_proxy_source(*source);
}

Endpoint read_control(const std::string& text) {
    try {
        return parse_control_endpoint(text);
    } catch (const std::invalid_argument& error) { refuse(fmt::format("--control: {}", error.what())); }
}

std::chrono::milliseconds read_interval(const std::string& text) {
    constexpr std::chrono::milliseconds shortest{100};
    constexpr std::chrono::hours longest{1};
    const auto interval = parse_duration(text);
    if (!interval || *interval < shortest || *interval > longest)
        refuse(fmt::format("--interval: expected a duration from 100ms to 1h, not {}", in_quotes(text)));
    return *interval;
}

std::uint64_t read_looks(const std::string& text) {
    const auto looks = parse_number<std::uint64_t>(text);
    if (!looks || *looks == 0) refuse(fmt::format("--looks: expected a number from 1 on, not {}", in_quotes(text)));
    return *looks;
}

/// What the daemon is asked for by `command`: its name, but for those that make something of its answers.
std::string_view question_of(const CtlCommand& command) {
    return command.name == "explain" || command.name == "top" ? "status" : command.name;
}

/// Those whose outcome takes as long as workers take to start and clients to finish.
bool takes_its_time(ControlCommand command) {
    using enum ControlCommand;
    return command == Reload || command == Upgrade || command == Stop;
}

}  // namespace

SendRequest read_send_request(const CommandLine& line) {
    SendRequest request{
        .expect = line.value("expect"), .no_reply = line.has("no-reply"), .verbose = line.has("verbose")};
    if (const auto timeout = line.value("timeout")) request.timeout = read_ctl_timeout(*timeout);
    read_words(request, line.words);
    check_request(request);
    read_tls(request, line);
    read_proxy(request, line);
    return request;
}

ControlOrder read_control_order(const CommandLine& line) {
    // The words are what the daemon understands, too.
    ControlOrder order{
        .request = parse_control_request(fmt::format("{} {}", question_of(*line.command), fmt::join(line.words, " "))),
        .json = line.has("json"),
        .watch = line.has("watch"),
        .batch = line.has("batch")};
    if (line.has("force")) order.request.force = true;
    if (takes_its_time(order.request.command)) order.timeout = std::chrono::minutes{5};
    if (const auto timeout = line.value("timeout")) order.timeout = read_ctl_timeout(*timeout);
    if (const auto interval = line.value("interval")) order.interval = read_interval(*interval);
    if (const auto looks = line.value("looks")) order.looks = read_looks(*looks);
    if (const auto control = line.value("control")) order.control = read_control(*control);
    order.instance = line.value("instance");
    if (order.control && order.instance) refuse("--instance: contradicts --control; keep one");
    return order;
}

}  // namespace preforkd
