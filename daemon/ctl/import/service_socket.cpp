#include "daemon/ctl/import/service_socket.hpp"

#include <fmt/core.h>

#include <stdexcept>
#include <string_view>

#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "daemon/ctl/import/inetd_text.hpp"
#include "daemon/ctl/import/merged_attributes.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {
namespace {

class SocketFinder {
public:
    SocketFinder(const OldEntry& service, std::span<const OldAttribute> attributes, const SystemNames& names)
        : service_{service}, attributes_{attributes}, names_{names} {}

    ServiceSocket find() {
        if (!has_unknown_type() && find_protocol()) find_endpoint();
        return std::move(found_);
    }

private:
    [[nodiscard]] std::string value_of(std::string_view name) const { return first_value(attributes_, name); }

    /// Of the attribute, or else of the service.
    bool refuse(std::string_view attribute, std::string_view sentence) {
        const OldAttribute* const said = find_attribute(attributes_, attribute);
        found_.why_not = {said == nullptr ? service_.place : said->place, fmt::format("{}: {}", attribute, sentence)};
        found_.endpoint.clear();
        return false;
    }

    bool has_unknown_type() {
        for (const std::string_view kind : {"RPC", "TCPMUX", "TCPMUXPLUS"})
            if (has_value(find_attribute(attributes_, "type"), kind))
                return !refuse("type", fmt::format("preforkd serves no {} services", kind));
        return false;
    }

    bool find_protocol() {
        std::string& protocol = found_.protocol = value_of("protocol");
        const std::string kind = value_of("socket_type");
        if (!kind.empty() && kind != "stream" && kind != "dgram")
            return refuse("socket_type", fmt::format("preforkd serves no {} sockets", printable(kind)));
        found_.is_stream = kind.empty() ? protocol != "udp" : kind == "stream";
        if (protocol.empty()) protocol = found_.is_stream ? "tcp" : "udp";
        if (protocol == "unix" || protocol == (found_.is_stream ? "tcp" : "udp")) return true;
        return refuse("protocol", fmt::format("preforkd serves no {} over {}", found_.is_stream ? "stream" : "dgram",
                                              printable(protocol)));
    }

    void find_endpoint() {
        if (found_.protocol == "unix")
            found_.endpoint = fmt::format("{}://{}", found_.is_stream ? "unix" : "unixgram", service_.name);
        else if (const auto port = find_port())
            found_.endpoint = fmt::format("{}://{}:{}", found_.protocol, find_host(), *port);
        else
            return;
        try {
            (void)parse_endpoint(found_.endpoint);
        } catch (const std::invalid_argument& error) { refuse("bind", error.what()); }
    }

    std::optional<std::uint16_t> find_port() {
        const std::string name = find_attribute(attributes_, "port") != nullptr ? value_of("port") : service_.name;
        auto port = parse_number<std::uint16_t>(name);
        if (!port) port = names_.find_port(name, found_.protocol);
        if (port && *port != 0) return port;
        refuse("port",
               fmt::format("none over {} is called {}: add it to /etc/services", found_.protocol, in_quotes(name)));
        return std::nullopt;
    }

    std::string find_host() {
        std::string host = value_of("bind");
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        const OldAttribute* const flags = find_attribute(attributes_, "flags");
        const bool ipv4_alone = has_value(flags, "IPv4") && !has_value(flags, "IPv6");
        const std::string family = ipv4_alone ? "4" : value_of(family_attribute);
        if (family == "6" || value_of("v6only") == "yes")
            found_.v6only = true;
        else if (family == "46")
            found_.v6only = false;
        if (host.empty()) host = family == "4" ? "0.0.0.0" : found_.v6only ? "::" : "";
        return host.find(':') == host.npos ? host : fmt::format("[{}]", host);
    }

    const OldEntry& service_;
    std::span<const OldAttribute> attributes_;
    const SystemNames& names_;
    ServiceSocket found_{};
};

}  // namespace

ServiceSocket find_socket(const OldEntry& service, std::span<const OldAttribute> attributes, const SystemNames& names) {
    return SocketFinder{service, attributes, names}.find();
}

}  // namespace preforkd
