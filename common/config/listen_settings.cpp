#include "common/config/listen_settings.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <vector>

#include "common/base/quoted.hpp"
#include "common/base/units.hpp"
#include "common/config/command_words.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/option_values.hpp"
#include "common/config/tls_scheme.hpp"

namespace preforkd {
namespace {

constexpr std::string_view separators = " \t\r\n\v\f";
constexpr NumberRange rcvbuf_range{.min = 1024, .max = 1u << 30};  // the kernel doubles it within an int: socket(7)

bool is_tcp(Transport transport) { return transport == Transport::Tcp; }
bool is_internet(Transport transport) { return transport == Transport::Tcp || transport == Transport::Udp; }
bool is_local(Transport transport) { return transport == Transport::Unix || transport == Transport::UnixDatagram; }
bool queues_connections(Transport transport) { return transport == Transport::Tcp || transport == Transport::Unix; }
bool may_be_udp(Transport transport) { return transport == Transport::Udp || transport == Transport::Passed; }
bool is_own_datagram(Transport transport) { return is_datagram(transport); }

std::uint64_t read_rcvbuf(std::string_view text) {
    const auto size = parse_size_bytes(text);
    if (!size || *size < rcvbuf_range.min || *size > rcvbuf_range.max)
        refuse_value("a size from 1K to 1G, such as 256K or 4M", text);
    return *size;
}

std::chrono::milliseconds read_linger(std::string_view text) {
    if (text == "off") return std::chrono::milliseconds{0};
    const auto duration = parse_duration(text);
    if (!duration) refuse_value("a duration such as 2s, or off", text);
    return *duration;
}

int read_queues(std::string_view text) {
    constexpr NumberRange range{.min = 1, .max = 256};
    return text == "auto" ? 0 : static_cast<int>(read_number(text, range));
}

std::string print_queues(int queues) { return queues == 0 ? "auto" : std::to_string(queues); }

bool read_inetd(std::string_view text) {
    if (text != "wait" && text != "nowait") refuse_value("wait or nowait", text);
    return text == "wait";
}

constexpr std::array<ListenRow, 15> common_rows{{
    {{"handler", "NAME", "all", "what serves this endpoint, instead of --handler"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.handler = read_word(text, "the name of a handler"); },
     [](const ListenSettings& s) { return unless_empty(s.handler); }},
    {{.name = "program",
      .argument = "COMMAND",
      .transports = "all",
      .meaning = "instead of --program; %20 for a blank, but plain in a section of a file",
      .plain_in_section = true},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.program = split_command(percent_decoded(text)); },
     [](const ListenSettings& s) { return unless_empty(percent_encoded(join_command(s.program))); }},
    {{"inetd", "wait|nowait", "all", "whether the program gets the socket itself, and accepts (default nowait)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.inetd_wait = read_inetd(text); },
     [](const ListenSettings& s) { return s.inetd_wait ? std::optional<std::string>{"wait"} : std::nullopt; }},
    {{"backlog", "N", "tcp, unix", "connections that the kernel queues, instead of --backlog"},
     queues_connections,
     [](ListenSettings& s, std::string_view text) { s.backlog = static_cast<int>(read_number(text, backlog_range)); },
     [](const ListenSettings& s) { return s.backlog ? std::optional{std::to_string(*s.backlog)} : std::nullopt; }},
    {{"queues", "N|auto", "tcp", "queues that clients are spread over, auto for one a CPU (default 1)"},
     is_tcp,
     [](ListenSettings& s, std::string_view text) { s.queues = read_queues(text); },
     [](const ListenSettings& s) { return s.queues ? std::optional{print_queues(*s.queues)} : std::nullopt; }},
    {{"mode", "OCTAL", "unix, unixgram", "permission bits of the socket file, such as 0660"},
     is_local,
     [](ListenSettings& s, std::string_view text) { s.mode = read_permissions(text); },
     [](const ListenSettings& s) { return s.mode ? std::optional{print_permissions(*s.mode)} : std::nullopt; }},
    {{"user", "USER", "unix, unixgram", "owner of the socket file"},
     is_local,
     [](ListenSettings& s, std::string_view text) { s.user = read_word(text, "the name or number of a user"); },
     [](const ListenSettings& s) { return unless_empty(s.user); }},
    {{"group", "GROUP", "unix, unixgram", "group of the socket file"},
     is_local,
     [](ListenSettings& s, std::string_view text) { s.group = read_word(text, "the name or number of a group"); },
     [](const ListenSettings& s) { return unless_empty(s.group); }},
    {{"v6only", "yes|no", "tcp, udp", "whether an IPv6 socket refuses IPv4 clients"},
     is_internet,
     [](ListenSettings& s, std::string_view text) { s.v6only = read_yes_no(text); },
     [](const ListenSettings& s) { return s.v6only ? std::optional{print_yes_no(*s.v6only)} : std::nullopt; }},
    {{"nodelay", "yes|no", "tcp", "whether small writes are sent at once (default yes)"},
     is_tcp,
     [](ListenSettings& s, std::string_view text) { s.nodelay = read_yes_no(text); },
     [](const ListenSettings& s) { return s.nodelay ? std::nullopt : std::optional{print_yes_no(s.nodelay)}; }},
    {{"keepalive", "yes|no", "tcp", "whether the kernel probes silent clients (default no)"},
     is_tcp,
     [](ListenSettings& s, std::string_view text) { s.keepalive = read_yes_no(text); },
     [](const ListenSettings& s) { return s.keepalive ? std::optional{print_yes_no(s.keepalive)} : std::nullopt; }},
    {{"rcvbuf", "SIZE", "udp, unixgram", "receive buffer of the socket, such as 4M"},
     is_own_datagram,
     [](ListenSettings& s, std::string_view text) { s.rcvbuf_bytes = read_rcvbuf(text); },
     [](const ListenSettings& s) {
         return s.rcvbuf_bytes ? std::optional{std::to_string(*s.rcvbuf_bytes)} : std::nullopt;
     }},
    {{"linger", "TIME|off", "tcp, unix, fd", "how long to wait for the client's end after ours (default 2s)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.linger = read_linger(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.linger) return std::nullopt;
         return s.linger->count() == 0 ? "off" : to_string(*s.linger);
     }},
    {{"replies-per-source", "N/s|off", "udp, fd",
      "replies that one source can have (default 1000/s, own handlers off)"},
     may_be_udp,
     [](ListenSettings& s, std::string_view text) { s.replies_per_source = read_rate(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         return s.replies_per_source ? std::optional{print_rate(*s.replies_per_source)} : std::nullopt;
     }},
    {{"amplify", "yes|no", "udp, fd", "whether a reply may be longer than its request (default no, own handlers yes)"},
     may_be_udp,
     [](ListenSettings& s, std::string_view text) { s.amplify = read_yes_no(text); },
     [](const ListenSettings& s) { return s.amplify ? std::optional{print_yes_no(*s.amplify)} : std::nullopt; }},
}};

/// The one list of keys: --help, reading and printing follow it.
const std::vector<ListenRow>& all_rows() {
    static const auto rows = [] {
        std::vector<ListenRow> all{common_rows.begin(), common_rows.end()};
        all.insert(all.end(), client_rows().begin(), client_rows().end());
        all.insert(all.end(), forward_rows().begin(), forward_rows().end());
        all.insert(all.end(), service_rows().begin(), service_rows().end());
        all.insert(all.end(), process_rows().begin(), process_rows().end());
        all.insert(all.end(), tls_rows().begin(), tls_rows().end());
        return all;
    }();
    return rows;
}

bool needs_tls(const ListenRow& row) {
    return static_cast<std::size_t>(&row - all_rows().data()) >= all_rows().size() - tls_rows().size();
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
        if (text.empty()) return words;
        words.push_back(text.substr(0, text.find_first_of(separators)));
        text.remove_prefix(words.back().size());
    }
}

/// What `settings`, whose endpoint is known, may be given.
bool fits(const ListenRow& row, const ListenSettings& settings) {
    return row.fits(settings.endpoint.transport) && (settings.tls || !needs_tls(row));
}

std::string known_keys(const ListenSettings& settings) {
    std::vector<std::string_view> names;
    for (const ListenRow& row : all_rows()) {
        const std::string_view name = row.key.name.starts_with("limit-") ? "limit-*" : row.key.name;
        if (fits(row, settings) && (names.empty() || names.back() != name)) names.push_back(name);
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

std::string endpoint_of(const ListenSettings& settings) {
    const std::string address = to_string(settings.endpoint);
    return settings.tls ? add_tls(address) : address;
}

/// `tls`, `tls+unix`, `tcp`.
std::string scheme_of(const ListenSettings& settings) {
    const std::string text = endpoint_of(settings);
    return text.substr(0, text.find(':'));
}

const ListenRow& find_key(std::string_view endpoint, std::string_view name, const ListenSettings& settings) {
    const std::string scheme = scheme_of(settings);
    const auto& rows = all_rows();
    const auto row = std::ranges::find(rows, name, [](const ListenRow& each) { return each.key.name; });
    if (row == rows.end())
        refuse_endpoint(endpoint,
                        fmt::format("unknown key {}; {} takes {}", in_quotes(name), scheme, known_keys(settings)));
    if (fits(*row, settings)) return *row;
    if (settings.endpoint.transport == Transport::Passed && !needs_tls(*row))
        refuse_endpoint(endpoint,
                        fmt::format("{}= does not fit a socket that systemd opens; set it in the socket unit", name));
    refuse_endpoint(endpoint, fmt::format("{}= does not fit {}, only {}; {} takes {}", name, scheme,
                                          row->key.transports, scheme, known_keys(settings)));
}

Endpoint endpoint_below(const TlsScheme& scheme, std::string_view text) {
    try {
        return parse_endpoint(scheme.address);
    } catch (const std::invalid_argument& error) {
        if (!scheme.tls) throw;
        refuse_endpoint(text, fmt::format("below TLS, {}", error.what()));
    }
}

void check_tls(std::string_view endpoint, const TlsSettings& tls) {
    if (tls.certificates.empty() || tls.keys.size() != tls.certificates.size())
        refuse_endpoint(endpoint,
                        fmt::format("tls needs certificate=FILE and key=FILE, as many of one as of the other; it has "
                                    "{} and {}",
                                    tls.certificates.size(), tls.keys.size()));
    if (tls.client_ca.empty() && tls.client_certificate) refuse_endpoint(endpoint, "client-cert= needs client-ca=");
    if (tls.client_ca.empty() && !tls.crl.empty()) refuse_endpoint(endpoint, "crl= needs client-ca=");
}

void check_together(std::string_view endpoint, const ListenSettings& settings) {
    if (settings.endpoint.abstract && (settings.mode || !settings.user.empty() || !settings.group.empty()))
        refuse_endpoint(endpoint, "mode=, user= and group= need a socket file, and an abstract name has none");
    if (!settings.program.empty() && !settings.handler.empty())
        refuse_endpoint(endpoint, "program= and handler= cannot both serve; keep one");
    if (const auto misfit = why_not_for(settings, settings.endpoint.transport)) refuse_endpoint(endpoint, *misfit);
    if (settings.tls) check_tls(endpoint, *settings.tls);
    if (settings.proxy_timeout && !settings.proxy) refuse_endpoint(endpoint, "proxy-timeout= needs proxy=");
    const ClientLimits& limits = settings.limits;
    const bool limits_sources = limits.per_source || limits.rate;
    if (limits.source_prefix && !limits_sources && !settings.replies_per_source)
        refuse_endpoint(endpoint, "source-prefix= needs per-source= or rate=, or over udp replies-per-source=");
    if (limits.source_prefix && settings.endpoint.transport == Transport::Unix && !settings.proxy)
        refuse_endpoint(endpoint,
                        "source-prefix= is about addresses, and of a Unix socket each user is a source; leave it away");
    if (limits.rate && settings.replies_per_source)
        refuse_endpoint(endpoint, "rate= and replies-per-source= limit the same datagrams; keep one");
    if (!limits.refuse_with.empty() && !limits_sources && settings.allow.empty() && settings.deny.empty())
        refuse_endpoint(endpoint, "refuse-with= needs allow=, deny=, per-source= or rate=, which refuse clients");
    if (settings.tls && !limits.refuse_with.empty())
        refuse_endpoint(endpoint,
                        "refuse-with= does not fit TLS, whose clients would take the text for a broken handshake");
    const std::string& host = settings.endpoint.host;
    if (settings.v6only && !host.empty() && host.find_first_not_of("0123456789.") == std::string::npos)
        refuse_endpoint(endpoint, "v6only= does not fit an IPv4 address");
}

}  // namespace

void refuse_endpoint(std::string_view endpoint, std::string_view sentence) {
    throw std::invalid_argument{fmt::format("{}: {}", in_quotes(endpoint), sentence)};
}

std::string_view process_key_of(const ListenSettings& settings) {
    const auto rows = process_rows();
    const auto said = std::ranges::find_if(rows, [&](const ListenRow& row) { return row.print(settings).has_value(); });
    return said == rows.end() ? std::string_view{} : said->key.name;
}

const char* why_not_known_by(const AccessList& list, Transport transport, bool is_announced) noexcept {
    const bool is_local = transport == Transport::Unix || transport == Transport::UnixDatagram;
    if (is_local && !is_announced && !list.prefixes.empty())
        return "clients of a Unix socket have no address: name them by the numbers of their users";
    if (transport != Transport::Unix && transport != Transport::Passed && !list.users.empty())
        return "only clients of a Unix socket (unix://) are known by their users: name them by their addresses";
    return nullptr;
}

std::optional<std::string> why_not_for(const ListenSettings& settings, Transport transport) {
    if (transport == Transport::Passed) return std::nullopt;  // its socket is not known yet
    const bool is_local = transport == Transport::Unix || transport == Transport::UnixDatagram;
    if (settings.tls && is_datagram(transport)) return "TLS needs a stream: datagrams are not encrypted";
    if (settings.proxy_timeout && is_datagram(transport))
        return "proxy-timeout= is for streams: the header of a datagram comes along with it";
    if (!settings.limits.refuse_with.empty() && is_datagram(transport))
        return "refuse-with= is for streams: a datagram that is refused is dropped without a word";
    if (transport == Transport::UnixDatagram && !settings.proxy && (settings.limits.per_source || settings.limits.rate))
        return "per-source= and rate= do not fit unixgram, whose senders need not have a name, unless proxy=unix has "
               "them announced; max= does";
    if (settings.proxy && is_local && !settings.proxy->local)
        return "proxy= takes no addresses for a Unix socket, whose clients have none: use proxy=unix";
    if (settings.proxy && !is_local && settings.proxy->local)
        return fmt::format("proxy=unix does not fit {}: name the addresses of those who announce clients",
                           to_string(transport));
    for (const AccessList* list : {&settings.allow, &settings.deny}) {
        const char* const key = list == &settings.allow ? "allow" : "deny";
        if (transport == Transport::UnixDatagram && !settings.proxy && !list->empty())
            return fmt::format(
                "{}= does not fit unixgram, whose senders need not have a name, unless proxy=unix has "
                "them announced",
                key);
        if (const char* const misfit = why_not_known_by(*list, transport, settings.proxy.has_value()))
            return fmt::format("{}: {}", key, misfit);
    }
    return std::nullopt;
}

std::span<const ListenKey> listen_keys() noexcept {
    static const auto keys = [] {
        std::vector<ListenKey> all;
        for (const ListenRow& row : all_rows()) all.push_back(row.key);
        return all;
    }();
    return keys;
}

ListenReader::ListenReader(std::string_view endpoint) : endpoint_{endpoint} {
    const TlsScheme scheme = strip_tls(endpoint);
    settings_.endpoint = endpoint_below(scheme, endpoint);
    if (scheme.tls) settings_.tls.emplace();
}

void ListenReader::read(std::string_view key, std::string_view value) {
    const ListenRow& row = find_key(endpoint_, key, settings_);
    if (!row.repeats && std::ranges::find(said_, key) != said_.end())
        refuse_endpoint(endpoint_, fmt::format("{}= is given twice; keep one", key));
    said_.emplace_back(key);
    try {
        if (value.find_first_of(separators) != value.npos)
            refuse_value("a value without blanks (%20 for one in program, env, chdir and refuse-with)", value);
        row.read(settings_, value);
    } catch (const std::invalid_argument& error) {
        refuse_endpoint(endpoint_, fmt::format("{}: {}", key, error.what()));
    }
}

const ListenSettings& ListenReader::finish() const {
    check_together(endpoint_, settings_);
    return settings_;
}

ListenSettings parse_listen(std::string_view text) {
    const std::vector<std::string_view> words = words_of(text);
    if (words.empty()) (void)parse_endpoint("");  // which says what is expected
    ListenReader reader{words.front()};
    for (const std::string_view word : std::span{words}.subspan(1)) {
        const std::size_t equals = word.find('=');
        if (equals == std::string_view::npos)
            refuse_endpoint(words.front(),
                            fmt::format("expected key=value behind the endpoint, not {}; a second endpoint needs "
                                        "its own --listen, and paths have no blanks",
                                        in_quotes(word)));
        reader.read(word.substr(0, equals), word.substr(equals + 1));
    }
    return reader.finish();
}

std::string to_string(const ListenSettings& settings) {
    std::string text = endpoint_of(settings);
    for (const ListenRow& row : all_rows())
        if (const auto value = row.print(settings)) text += fmt::format(" {}={}", row.key.name, *value);
    return text;
}

}  // namespace preforkd
