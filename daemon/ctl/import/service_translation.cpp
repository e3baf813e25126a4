#include "daemon/ctl/import/service_translation.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>

#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/config/command_words.hpp"
#include "common/config/config_file.hpp"
#include "common/config/option_values.hpp"
#include "daemon/ctl/import/inetd_text.hpp"
#include "daemon/ctl/import/merged_attributes.hpp"
#include "daemon/ctl/import/old_command.hpp"

namespace preforkd {
namespace {

constexpr std::string_view unlimited = "UNLIMITED";

/// What has no counterpart.
struct Loss {
    std::string_view name;
    std::string_view sentence;
    bool withholds = false;  ///< it keeps clients out
};

constexpr std::string_view of_rates =
    "preforkd turns no service off; rate = N/s limits each address, and max = has the others wait";

constexpr auto losses = std::to_array<Loss>({
    {"access_times", "preforkd serves at any time", true},
    {"banner", "a program has to say that itself"},
    {"banner_success", "a program has to say that itself"},
    {"banner_fail", "write its text behind refuse-with ="},
    {"cps", of_rates},
    {invocations_attribute, of_rates},
    {"leaky_bucket", of_rates},
    {"libwrap", "hosts.allow and hosts.deny are not asked; write allow = and deny ="},
    {"log_type", "all services have one log, where --log-file and --log-format say"},
    {"max_load", "preforkd serves at any load; max = limits how many at once"},
    {"passenv", "programs get the daemon's environment; say in its unit what that is"},
    {"sndbuf", "a program has to set that itself"},
});

/// What the endpoint and the program follow from, and what means nothing here.
constexpr auto told_elsewhere = std::to_array<std::string_view>(
    {"id", "type", "socket_type", "protocol", "wait", "port", "bind", "server", "server_args", "redirect", "groups",
     "disable", "mdns", "v6only", "deny_time", family_attribute, "rpc_version", "rpc_number"});

class Translator {
public:
    Translator(const OldEntry& service, std::span<const OldAttribute> attributes, const SystemNames& names)
        : service_{service}, attributes_{attributes}, names_{names}, socket_{find_socket(service, attributes, names)} {}

    ServiceTranslation translate() {
        made_.endpoint = socket_.endpoint;
        if (socket_.why_not) withhold(socket_.why_not->place, socket_.why_not->sentence);
        if (socket_.v6only) say("v6only", print_yes_no(*socket_.v6only));
        find_server();
        for (const OldAttribute& attribute : attributes_) translate(attribute);
        return std::move(made_);
    }

private:
    struct Row {
        std::string_view name;
        void (Translator::*translate)(const OldAttribute&);
    };

    [[nodiscard]] const OldAttribute* find(std::string_view name) const { return find_attribute(attributes_, name); }

    void say(std::string_view name, std::string_view value) {
        made_.lines.push_back(fmt::format("{} = {}", name, config_value(value)));
    }
    /// Of a program alone.
    void say_of_program(std::string_view name, std::string_view value) {
        if (!is_internal_) say(name, value);
    }
    void lose(const OldAttribute& attribute, std::string_view sentence) {
        made_.remarks.push_back({attribute.place, fmt::format("{}: {}", attribute.name, sentence)});
    }
    void withhold(const OldAttribute& attribute, std::string_view sentence) {
        lose(attribute, sentence);
        made_.withheld = true;
    }
    void withhold(const std::string& place, std::string sentence) {
        made_.remarks.push_back({place, std::move(sentence)});
        made_.withheld = true;
    }

    void find_server() {
        if (is_internal_) return find_handler();
        const std::vector<std::string> command = command_of(attributes_);
        if (command.empty()) return withhold(service_.place, "it names no server");
        say("program", join_command(command));
        if (find("redirect") != nullptr) made_.notes.emplace_back("socat is in the package of that name");
        if (is_waiting_) say("inetd", "wait");
        if (!socket_.is_stream && !is_waiting_)
            withhold(service_.place, "a program gets datagrams with the socket, which takes wait");
    }

    void find_handler() {
        constexpr std::array handlers{"echo", "discard", "daytime", "chargen"};
        if (std::ranges::find(handlers, service_.name) != handlers.end()) return say("handler", service_.name);
        withhold(*find("type"), fmt::format("preforkd has no built-in service {}", in_quotes(service_.name)));
    }

    void translate(const OldAttribute& attribute) {
        for (const Row& row : rows)
            if (row.name == attribute.name) return (this->*row.translate)(attribute);
        for (const Loss& loss : losses)
            if (loss.name == attribute.name)
                return loss.withholds ? withhold(attribute, loss.sentence) : lose(attribute, loss.sentence);
        if (std::ranges::find(told_elsewhere, attribute.name) == told_elsewhere.end())
            lose(attribute, "unknown, and xinetd leaves it out");
    }

    void identity(const OldAttribute& attribute) { say_of_program("run-" + attribute.name, value_of(attribute)); }

    void nice(const OldAttribute& attribute) {
        if (const auto number = parse_number<int>(value_of(attribute)))
            say_of_program("nice", std::to_string(*number));
        else
            lose(attribute, "expected a number");
    }

    void umask(const OldAttribute& attribute) try {
        say_of_program("umask", print_permissions(read_permissions(value_of(attribute))));
    } catch (const std::invalid_argument& error) { lose(attribute, error.what()); }

    /// Of two with one name programs find the first, and preforkd takes no second.
    void environment(const OldAttribute& attribute) {
        std::set<std::string> said;
        for (const std::string& variable : attribute.values)
            if (said.insert(variable.substr(0, variable.find('='))).second) say_of_program("env", variable);
    }

    /// nullopt: no limit, or a remark about it.
    std::optional<std::uint32_t> read_limit(const OldAttribute& attribute) {
        if (value_of(attribute) == unlimited) return std::nullopt;
        const auto number = parse_number<std::uint32_t>(value_of(attribute));
        if (number && *number != 0) return number;
        lose(attribute, "expected a number or UNLIMITED");
        return std::nullopt;
    }

    void instances(const OldAttribute& attribute) {
        const auto number = read_limit(attribute);
        if (!number || is_waiting_ || (is_internal_ && !socket_.is_stream)) return;
        say("max", std::to_string(*number));
        if (!is_internal_) made_.instances = *number;
    }

    void per_source(const OldAttribute& attribute) {
        const auto number = read_limit(attribute);
        if (number && !is_waiting_) say("per-source", std::to_string(*number));
    }

    /// Who is a client of a program that accepts by itself is for that to say; of streams xinetd leaves it alone, too.
    void access(const OldAttribute& attribute) {
        if (is_waiting_ && socket_.is_stream) return;
        if (is_waiting_ || socket_.protocol == "unix")
            return withhold(attribute, "preforkd does not see the addresses of this service's clients");
        const bool is_allow = attribute.name == "only_from";
        std::vector<std::string> prefixes;
        for (const std::string& word : attribute.values) {
            const std::vector<HostPrefix> read = read_old_address(word, names_.find_network);
            for (const HostPrefix& prefix : read) prefixes.push_back(to_string(prefix));
            if (read.empty()) {
                lose(attribute,
                     fmt::format("preforkd looks up no client's name: {} needs its address", in_quotes(word)));
                made_.withheld |= !is_allow;
            }
        }
        if (!prefixes.empty()) return say(is_allow ? "allow" : "deny", fmt::format("{}", fmt::join(prefixes, ",")));
        if (is_allow) withhold(attribute, "as it stands here, it admits nobody");
    }

    void resource_limit(const OldAttribute& attribute) {
        const std::string kind = attribute.name.substr(std::string_view{"rlimit_"}.size());
        const std::string name = "limit-" + (kind == "files" ? "nofile" : kind);
        const std::string value = value_of(attribute);
        if (value == unlimited) return say_of_program(name, "infinity");
        std::string_view unit = value;
        const auto number = take_number<std::uint64_t>(unit);
        const std::uint64_t bytes = unit == "K" || unit == "k"   ? std::uint64_t{1} << 10
                                    : unit == "M" || unit == "m" ? std::uint64_t{1} << 20
                                                                 : 1;
        if (!number || (bytes == 1 && !unit.empty())) return lose(attribute, "expected a number or UNLIMITED");
        say_of_program(name, std::to_string(*number * bytes));
    }

    void resident_limit(const OldAttribute&) {
        made_.notes.emplace_back("rlimit_rss is left out: Linux heeds it no more");  // getrlimit(2)
    }

    void receive_buffer(const OldAttribute& attribute) {
        if (socket_.is_stream) return lose(attribute, "is for datagrams alone; see net.ipv4.tcp_rmem");
        std::string size = value_of(attribute);  // `64k`
        std::ranges::transform(size, size.begin(),
                               [](char c) { return c == 'k' || c == 'm' ? static_cast<char>(c - 'a' + 'A') : c; });
        say("rcvbuf", size);
    }

    void flags(const OldAttribute& attribute) {
        if (has_value(&attribute, "KEEPALIVE") && socket_.protocol == "tcp") say("keepalive", "yes");
        for (const std::string_view flag : {"SENSOR", "IDONLY", "INTERCEPT", "LABELED"}) {
            if (!has_value(&attribute, flag)) continue;
            lose(attribute, fmt::format("preforkd has nothing like {}", flag));
            made_.withheld |= flag == "SENSOR" || flag == "IDONLY";
        }
    }

    void log_on_success(const OldAttribute& attribute) {
        log_user(attribute);
        const auto of_the_end = {"EXIT", "DURATION", "TRAFFIC"};
        if (!is_waiting_ && std::ranges::any_of(of_the_end, [&](auto each) { return has_value(&attribute, each); }))
            say("log-connections", "both");
    }
    void log_user(const OldAttribute& attribute) {
        if (has_value(&attribute, "USERID"))
            lose(attribute, "preforkd asks no client for the name of its user (RFC 1413)");
    }

    static constexpr std::array rows{
        Row{"user", &Translator::identity},
        Row{"group", &Translator::identity},
        Row{"nice", &Translator::nice},
        Row{"umask", &Translator::umask},
        Row{"env", &Translator::environment},
        Row{"instances", &Translator::instances},
        Row{"per_source", &Translator::per_source},
        Row{"only_from", &Translator::access},
        Row{"no_access", &Translator::access},
        Row{"rlimit_as", &Translator::resource_limit},
        Row{"rlimit_files", &Translator::resource_limit},
        Row{"rlimit_cpu", &Translator::resource_limit},
        Row{"rlimit_data", &Translator::resource_limit},
        Row{"rlimit_rss", &Translator::resident_limit},
        Row{"rlimit_stack", &Translator::resource_limit},
        Row{receive_buffer_attribute, &Translator::receive_buffer},
        Row{"flags", &Translator::flags},
        Row{"log_on_success", &Translator::log_on_success},
        Row{"log_on_failure", &Translator::log_user},
    };

    const OldEntry& service_;
    std::span<const OldAttribute> attributes_;
    const SystemNames& names_;
    ServiceSocket socket_;
    ServiceTranslation made_{};
    bool is_internal_ = has_value(find("type"), "INTERNAL");
    bool is_waiting_ = !is_internal_ && has_value(find("wait"), "yes");
};

}  // namespace

ServiceTranslation translate_service(const OldEntry& service, std::span<const OldAttribute> attributes,
                                     const SystemNames& names) {
    return Translator{service, attributes, names}.translate();
}

}  // namespace preforkd
