#include "targets.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <climits>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/base/units.hpp"
#include "common/channel/channel.hpp"
#include "common/config/config_file.hpp"
#include "common/config/control_endpoint.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/options.hpp"
#include "common/control/control_protocol.hpp"
#include "common/control/death_report.hpp"
#include "common/control/sources_report.hpp"
#include "common/control/status_report.hpp"
#include "common/log/journal_record.hpp"
#include "common/log/log_format.hpp"
#include "common/net/proxy_header.hpp"
#include "common/systemd/fd_store_policy.hpp"
#include "common/systemd/passed_sockets.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/ctl/command_line.hpp"
#include "daemon/master/pool/handover.hpp"
#include "daemon/observe/http_target.hpp"
#include "daemon/observe/metrics.hpp"
#include "tests/fuzz/relay.hpp"
#include "tests/fuzz/require.hpp"

namespace preforkd::fuzz {
namespace {

/// What `Refusal`s are for.
template <class Refusal, class Read>
void refusing(Read read) {
    try {
        read();
    } catch (const Refusal& refusal) { require(*refusal.what() != '\0', "a refusal says why"); }
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

void read_config_text(std::string_view bytes) {
    refusing<OperatorError>([&] {
        for (const ConfigLine& line : parse_config(bytes, "file")) {
            const auto again = parse_config(line.name + " = " + config_value(line.value), "file");
            require(again.size() == 1 && again[0].value == line.value, "a value is read back as it was written");
        }
        require(compare_configs(bytes, bytes) == Emptied::No, "a text that has not changed was not emptied");
    });
}

void read_endpoint(std::string_view bytes) {
    refusing<std::invalid_argument>([&] {
        const Endpoint endpoint = parse_endpoint(bytes);
        require(parse_endpoint(to_string(endpoint)) == endpoint, "an endpoint is read back as it was written");
    });
    refusing<std::invalid_argument>([&] { (void)parse_control_endpoint(bytes); });
    refusing<std::invalid_argument>([&] { (void)read_daemon_name(bytes); });
}

void read_listen(std::string_view bytes) {
    refusing<std::invalid_argument>([&] {
        const ListenSettings settings = parse_listen(bytes);
        require(parse_listen(to_string(settings)) == settings, "a listener is read back as it was written");
    });
}

/// Lines: arguments, and variables of the environment where they begin as one.
void read_all_options(std::string_view bytes) {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    for (std::string& line : lines_of(bytes))
        (line.starts_with("PREFORKD_") ? environment : arguments).push_back(std::move(line));
    refusing<OperatorError>([&] { (void)config_file_of(arguments, environment); });
    refusing<OperatorError>([&] { (void)read_options(arguments, environment, {}, ""); });
}

void read_settings_file(std::string_view bytes) {
    refusing<OperatorError>([&] { (void)read_options({"-C", "file"}, {}, {}, std::string{bytes}); });
}

void read_ctl_options(std::string_view bytes) {
    refusing<std::invalid_argument>([&] { (void)parse_command_line(lines_of(bytes)); });
    refusing<std::invalid_argument>([&] { (void)read_ctl_timeout(std::string{bytes}); });
}

void read_units(std::string_view bytes) {
    if (const auto duration = parse_duration(bytes))
        require(parse_duration(to_string(*duration)) == duration, "a duration is read back as it was written");
    if (const auto size = parse_size_bytes(bytes))
        require(parse_size_bytes(print_size_bytes(*size)) == size, "a size is read back as it was written");
}

void read_request(std::string_view bytes) {
    refusing<std::invalid_argument>([&] {
        const ControlRequest request = parse_control_request(bytes);
        require(parse_control_request(to_json(request)) == request, "a request is read back as it was written");
    });
}

void read_answer(std::string_view bytes) {
    refusing<std::runtime_error>([&] { (void)parse_control_answer(bytes); });
    refusing<std::runtime_error>([&] { (void)parse_status(bytes); });
    refusing<std::runtime_error>([&] { (void)parse_deaths(bytes); });
    refusing<std::runtime_error>([&] { (void)parse_sources(bytes); });
}

void read_handover(std::string_view bytes) {
    refusing<std::runtime_error>([&] {
        const std::string once = to_text(parse_handover(bytes));
        require(to_text(parse_handover(once)) == once, "what is handed over is read back as it was written");
    });
}

/// Its end is where it is whole, however much of it and of what follows has come.
void read_proxy_header(std::string_view bytes) {
    const auto size_of = [](std::string_view text) {
        const auto parsed = parse_proxy_header(text, SOCK_STREAM);
        const auto* const header = std::get_if<ProxyHeader>(&parsed);
        return header != nullptr ? header->size_bytes : std::size_t{0};
    };
    const auto parsed = parse_proxy_header(bytes, SOCK_STREAM);
    (void)parse_proxy_header(bytes, SOCK_DGRAM);
    if (const auto* const cut = std::get_if<ProxyIncomplete>(&parsed))
        require(cut->wanted_bytes > bytes.size() && bytes.size() < longest_proxy_header_bytes, "more is wanted");
    const std::size_t size = size_of(bytes);
    if (size == 0) return;
    require(size <= bytes.size() && size <= longest_proxy_header_bytes, "a header is no longer than what has come");
    for (std::size_t part = 0; part < size; ++part)
        require(std::holds_alternative<ProxyIncomplete>(parse_proxy_header(bytes.substr(0, part), SOCK_STREAM)),
                "a part of a header is no other header, and not refused");
    require(size_of(bytes.substr(0, size)) == size, "what follows is not looked at");
}

bool is_one_line(std::string_view line) {
    return line.size() <= log_line_limit_bytes && line.find('\n') == line.size() - 1;
}

bool is_harmless(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; }

void write_log(std::string_view bytes) {
    constexpr std::string_view stamp = "2026-11-22T16:02:11.123Z";
    const std::vector<LogField> fields{{"text", bytes}, {"number", 0.5}};
    for (const std::string_view sentence : {std::string_view{"received: {text}"}, bytes}) {
        const LogRecord record{.sentence = sentence, .fields = fields, .pid = 7, .worker = 3};
        for (const LogLine& line : {format_text(record, stamp), format_terminal(record, stamp, false)}) {
            require(is_one_line(line.view()), "an event is one line, and one write");
            require(std::ranges::all_of(line.view().substr(0, line.size() - 1), is_harmless),
                    "no control character reaches a terminal");
        }
        const LogLine json = format_json(record, stamp);
        require(is_one_line(json.view()), "an event is one line of JSON");
        boost::json::error_code error;
        (void)boost::json::parse(json.view(), error);
        require(!error, "the line is valid JSON");
        require(format_journal(record).size() <= log_line_limit_bytes, "a record is one datagram");
    }
}

/// What a worker writes into its pipe, until the master would hear it no more.
void hear_reports(std::string_view bytes) {
    ChannelPair channel = open_channel();
    bytes = bytes.substr(0, PIPE_BUF);
    (void)!::write(channel.worker.reports.get(), bytes.data(), bytes.size());
    channel.worker = {};
    for (;;) {
        const auto received = receive_report(channel.master.reports.get());
        if (std::holds_alternative<PeerGone>(received) || std::holds_alternative<NoReport>(received)) return;
        require(std::holds_alternative<Report>(received), "a pipe whose writer is gone comes to its end");
        const Report& report = std::get<Report>(received);
        require(is_printable(report.text), "the text of a report is one printable line");
        require(report.text.empty() || report.kind == Report::Kind::Failed, "only a failure has a text");
    }
}

/// Descriptors 3 and 4 are sockets, and 5 is closed, while it lives; as if systemd had passed two.
class TwoPassed {
public:
    TwoPassed() {
        for (std::size_t each = 0; each < before_.size(); ++each) {
            const int fd = first + static_cast<int>(each);
            before_[each] = UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 100)};
            ::close(fd);
        }
        int pair[2];
        require(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[0] == first, "the first two are free");
    }
    ~TwoPassed() {
        for (std::size_t each = 0; each < before_.size(); ++each) {
            const int fd = first + static_cast<int>(each);
            ::close(fd);
            if (before_[each]) ::dup3(before_[each].get(), fd, O_CLOEXEC);
        }
    }
    TwoPassed(const TwoPassed&) = delete;
    TwoPassed& operator=(const TwoPassed&) = delete;

private:
    static constexpr int first = 3;
    std::array<UniqueFd, 3> before_{};
};

constexpr std::array activation_variables{"LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES", "NOTIFY_SOCKET",
                                          "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"};

/// Lines NAME=VALUE, where a value may be `SELF`: this process.
void set_variables(std::string_view bytes) {
    for (const std::string& line : lines_of(bytes))
        for (const std::string_view name : activation_variables) {
            if (!line.starts_with(std::string{name} + '=')) continue;
            const std::string value = line.substr(name.size() + 1);
            ::setenv(name.data(), (value == "SELF" ? std::to_string(::getpid()) : value).c_str(), 1);
        }
}

/// As start-up reads what systemd has left in the environment.
void read_activation(std::string_view bytes) {
    static const Libsystemd stays_loaded;
    const TwoPassed passed;
    set_variables(bytes);
    note_passed_descriptors();
    try {
        for (const PassedSocket& socket : take_passed_sockets()) {
            require(is_printable(socket.flaw), "a flaw is one printable line");
            (void)file_in_stored_name(socket.name);
        }
        require(std::getenv("LISTEN_FDS") == nullptr, "what was taken is gone from the environment");
    } catch (const OperatorError& refusal) { require(is_printable(refusal.what()), "a refusal is one printable line"); }
    const SystemdNotify systemd;
    require(std::getenv("NOTIFY_SOCKET") == nullptr, "systemd is notified by nobody else");
    if (const auto period = systemd.watchdog_period()) require(period->count() > 0, "a watchdog is fed in time");
    for (const char* name : activation_variables) ::unsetenv(name);
}

/// A request's target and its headers Host and Accept, as the observer takes them from who looks.
void read_http(std::string_view bytes) {
    std::vector<std::string> lines = lines_of(bytes);
    lines.resize(3);
    const HttpTarget read = read_target(lines[0], lines[1]);
    require(read.path.find('?') == std::string_view::npos, "a path has no query");
    require(read.name.size() <= std::max(lines[0].size(), lines[1].size()), "a name is what was sent");
    require(is_own({}, read.name), "who asks by any name may");
    const bool of_the_web = read.name.ends_with(".example");
    require(!of_the_web || !is_own({.any = false, .host = "localhost"}, read.name), "no name of the web is ours");
    require(!content_type(format_for(lines[2])).empty(), "there is a format for everybody");
}

constexpr std::array all{
    Target{"activation", read_activation},
    Target{"answer", read_answer},
    Target{"config", read_config_text},
    Target{"ctl_options", read_ctl_options},
    Target{"endpoint", read_endpoint},
    Target{"handover", read_handover},
    Target{"http", read_http},
    Target{"listen", read_listen},
    Target{"log", write_log},
    Target{"options", read_all_options},
    Target{"proxy", read_proxy_header},
    Target{"relay", drive_relay},
    Target{"report", hear_reports},
    Target{"request", read_request},
    Target{"settings", read_settings_file},
    Target{"units", read_units},
};

}  // namespace

std::span<const Target> targets() noexcept { return all; }

}  // namespace preforkd::fuzz
