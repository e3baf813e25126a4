#include "daemon/worker/program/copy_sockets.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <string_view>

#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

constexpr std::string_view placeholder = "{fd";

/// The index of the socket that `name` stands for, or its address; empty: the first.
std::optional<std::size_t> index_of(std::string_view name, std::span<const CopySocket> sockets) {
    if (name.empty()) return sockets.empty() ? std::nullopt : std::optional<std::size_t>{0};
    const auto found = std::ranges::find_if(
        sockets, [&](const CopySocket& each) { return each.name == name || address_of(each.local) == name; });
    if (found == sockets.end()) return std::nullopt;
    return static_cast<std::size_t>(found - sockets.begin());
}

/// Calls `found` for the name in each `{fd}` (empty) and `{fd:NAME}` of `argument`, and puts its answer there.
std::string replace_each(std::string_view argument, const std::function<std::string(std::string_view name)>& found) {
    std::string text;
    while (!argument.empty()) {
        const std::size_t begin = std::min(argument.find(placeholder), argument.size());
        text += argument.substr(0, begin);
        argument.remove_prefix(begin);
        if (argument.empty()) break;
        std::string_view rest = argument.substr(placeholder.size());
        const std::size_t end = rest.find('}');
        const bool is_one = end == 0 || (end != rest.npos && end > 1 && rest.front() == ':');
        if (!is_one) {  // a brace of the program's own
            text += argument.front();
            argument.remove_prefix(1);
            continue;
        }
        text += found(end == 0 ? std::string_view{} : rest.substr(1, end - 1));
        argument.remove_prefix(placeholder.size() + end + 1);
    }
    return text;
}

std::string names_of(std::span<const CopySocket> sockets) {
    std::vector<std::string> names;
    for (const CopySocket& each : sockets)
        names.push_back(fmt::format("{{fd:{}}} is {}", printable(each.name), printable(to_string(each.local))));
    return fmt::format("{}", fmt::join(names, ", "));
}

/// As Server::Starter writes what its --port and --path name.
std::string starter_address(const Endpoint& local) {
    if (local.transport == Transport::Unix || local.transport == Transport::UnixDatagram) return local.path;
    const std::string address = address_of(local);
    return address.starts_with(':') ? address.substr(1) : address;
}

std::string numbered(std::span<const CopySocket> sockets, const auto& item, std::string_view between) {
    std::vector<std::string> items;
    for (std::size_t index = 0; index < sockets.size(); ++index)
        items.push_back(item(sockets[index], first_copy_socket + static_cast<int>(index)));
    return fmt::format("{}", fmt::join(items, between));
}

}  // namespace

std::optional<std::string> why_not_passed(PassStyle pass, std::span<const std::string> arguments,
                                          std::span<const CopySocket> sockets) {
    if (pass == PassStyle::Fd0 && sockets.size() != 1)
        return fmt::format("--pass fd0 gives one socket, and there are {}: {}; name one address, or use --pass listen",
                           sockets.size(), names_of(sockets));
    std::vector<bool> reached(sockets.size());
    std::optional<std::string> unknown;
    bool any = false;
    for (const std::string& argument : arguments)
        (void)replace_each(argument, [&](std::string_view name) {
            any = true;
            const auto index = index_of(name, sockets);
            if (index)
                reached[*index] = true;
            else if (!unknown)
                unknown = std::string{name};
            return std::string{};
        });
    if (unknown) return fmt::format("{{fd:{}}} is none of its sockets: {}", printable(*unknown), names_of(sockets));
    const auto missed = std::ranges::find(reached, false);
    if (!any || missed == reached.end()) return std::nullopt;
    const CopySocket& socket = sockets[static_cast<std::size_t>(missed - reached.begin())];
    return fmt::format("no {{fd}} of its arguments passes {}: name each, or let --listen make one socket; {}",
                       printable(to_string(socket.local)), names_of(sockets));
}

std::vector<std::string> with_descriptors(std::span<const std::string> arguments, std::span<const CopySocket> sockets) {
    std::vector<std::string> filled;
    for (const std::string& argument : arguments)
        filled.push_back(replace_each(argument, [&](std::string_view name) {
            return std::to_string(first_copy_socket + static_cast<int>(index_of(name, sockets).value_or(0)));
        }));
    return filled;
}

std::vector<std::string> variables_of(PassStyle pass, std::span<const CopySocket> sockets, const CopyParent& parent) {
    const auto name = [](const CopySocket& socket, int) { return socket.name; };
    const auto address = [](const CopySocket& socket, int fd) {
        return fmt::format("{}={}", starter_address(socket.local), fd);
    };
    switch (pass) {
        case PassStyle::Listen:
            return {fmt::format("LISTEN_FDS={}", sockets.size()), "LISTEN_FDNAMES=" + numbered(sockets, name, ":")};
        case PassStyle::Fd0: return {};
        case PassStyle::Starter:
            return {"SERVER_STARTER_PORT=" + numbered(sockets, address, ";"),
                    fmt::format("SERVER_STARTER_GENERATION={}", parent.generation)};
        case PassStyle::Einhorn: {
            std::vector<std::string> variables{fmt::format("EINHORN_FD_COUNT={}", sockets.size()),
                                               fmt::format("EINHORN_MASTER_PID={}", parent.pid)};
            for (std::size_t index = 0; index < sockets.size(); ++index)
                variables.push_back(
                    fmt::format("EINHORN_FD_{}={}", index, first_copy_socket + static_cast<int>(index)));
            return variables;
        }
    }
    return {};
}

}  // namespace preforkd
