#include "daemon/ctl/import/old_command.hpp"

#include <fmt/core.h>

#include "daemon/ctl/import/merged_attributes.hpp"

namespace preforkd {
namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// A client that has sent everything still gets the answer; socat alone would give that half a second.
std::vector<std::string> forwarder_to(const std::string& host, const std::string& port) {
    const std::string address = host.find(':') == host.npos ? host : fmt::format("[{}]", host);
    return {"/usr/bin/socat", "-t", "86400", "-", fmt::format("TCP:{}:{}", address, port)};
}

}  // namespace

std::vector<std::string> command_of(std::span<const OldAttribute> attributes) {
    constexpr std::size_t host_and_port = 2;
    const OldAttribute* const redirect = find_attribute(attributes, "redirect");
    if (redirect != nullptr && redirect->values.size() == host_and_port)
        return forwarder_to(redirect->values[0], redirect->values[1]);
    const OldAttribute* const server = find_attribute(attributes, "server");
    if (server == nullptr || server->values.size() != 1) return {};
    std::vector<std::string> command = server->values;
    const OldAttribute* const said = find_attribute(attributes, "server_args");
    std::vector<std::string> arguments = said == nullptr ? std::vector<std::string>{} : said->values;
    if (!arguments.empty() && has_value(find_attribute(attributes, "flags"), "NAMEINARGS")) {
        const std::string called = arguments.front();
        arguments.erase(arguments.begin());
        // By its own name it is called anyway; others, tcpd(8) above all, go by what they are called.
        if (base_name(called) != base_name(command[0]))
            command = {"/bin/bash", "-c", R"(exec -a "$0" "$@")", called, command[0]};
    }
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
}

}  // namespace preforkd
