#include "daemon/ctl/find_daemons.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <set>
#include <stdexcept>
#include <system_error>

#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/config/control_endpoint.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view runtime = "/run";
constexpr std::string_view service = "preforkd";     // RuntimeDirectory= of its unit
constexpr std::string_view instances = "preforkd-";  // and of its template
constexpr std::string_view by_hand = "preforkd-by-hand";

/// Sorted; none where it cannot be read.
std::set<std::string> entries_of(const fs::path& directory) {
    std::set<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry{directory, error}; !error && entry != fs::directory_iterator{};
         entry.increment(error))
        names.insert(entry->path().filename().native());
    return names;
}

/// NAME of preforkd@NAME.service, which may be called as systemctl(1) calls it.
std::string_view instance_of(std::string_view unit) {
    constexpr std::string_view prefix = "preforkd@";
    constexpr std::string_view suffix = ".service";
    if (unit.ends_with(suffix)) unit.remove_suffix(suffix.size());
    if (unit.starts_with(prefix)) unit.remove_prefix(prefix.size());
    return unit;
}

bool is_file_name(std::string_view name) noexcept {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

/// Asked with the wrong type, a socket that a process has bound says EPROTOTYPE, and its owner notices nothing.
int answer_of(const Endpoint& control) {
    const UniqueFd probe{check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
    try {
        const SocketAddress address = resolve(control).at(0);
        return ::connect(probe.get(), address.data(), address.size()) == 0 ? 0 : errno;
    } catch (const std::system_error& error) { return error.code().value(); }  // its path is too long
}

std::vector<FoundDaemon> candidates(const std::optional<std::string>& directory_by_hand,
                                    const std::optional<std::string>& wanted) {
    std::vector<FoundDaemon> all;
    const auto add_service = [&](std::string_view name, std::string_view directory) {
        all.push_back(
            {.name = std::string{name},
             .control = {.transport = Transport::Unix, .path = fmt::format("{}/{}/control.sock", runtime, directory)}});
    };
    add_service(service, service);
    for (const std::string& name : entries_of(runtime))
        if (name.starts_with(instances) && name != by_hand)
            add_service(std::string_view{name}.substr(instances.size()), name);
    // A program of one's own as a service with RuntimeDirectory=NAME.
    if (wanted)
        if (const std::string_view name = instance_of(*wanted); is_file_name(name) && name != service)
            add_service(name, name);
    if (!directory_by_hand) return all;
    for (const std::string& file : entries_of(*directory_by_hand))
        if (const auto name = name_by_hand(file))
            all.push_back({.name = std::string{*name}, .control = control_by_hand(*directory_by_hand, *name)});
    return all;
}

[[noreturn]] void refuse_name(const std::string& wanted, const std::vector<FoundDaemon>& live,
                              const std::string& hint) {
    std::vector<std::string_view> names;
    for (const FoundDaemon& each : live) names.push_back(each.name);
    const std::string remedy = names.empty() ? "start it with --name " + printable(wanted)
                                             : fmt::format("there are {}", fmt::join(names, ", "));
    throw std::runtime_error{fmt::format("no running daemon has the name {}{}; {}", in_quotes(wanted), hint, remedy)};
}

[[noreturn]] void refuse(const std::optional<std::string>& directory_by_hand, const std::string& hint) {
    throw std::runtime_error{
        fmt::format("no running daemon found in {0}/preforkd, {0}/preforkd-* and {1}{2}; start it, with --name NAME to "
                    "say -i NAME here, or with --control unix:///PATH to say the same --control",
                    runtime, directory_by_hand.value_or("$XDG_RUNTIME_DIR/preforkd, which is not set"), hint)};
}

}  // namespace

std::vector<FoundDaemon> find_daemons(const std::optional<std::string>& wanted, const char* xdg_runtime_dir) {
    const auto directory_by_hand = control_directory_by_hand(::geteuid() == 0, xdg_runtime_dir);
    std::vector<FoundDaemon> live;
    std::vector<std::string> forbidden;
    for (FoundDaemon& each : candidates(directory_by_hand, wanted)) {
        const int answer = answer_of(each.control);
        if (answer == EACCES) forbidden.push_back(to_string(each.control));
        if (answer == EPROTOTYPE) live.push_back(std::move(each));
    }
    // Of root's, nobody else can see more than that there may be some.
    const std::string of_root = fmt::format("{}/{}", runtime, by_hand);
    if (::access(of_root.c_str(), R_OK) == -1 && errno == EACCES) forbidden.push_back(of_root);
    const std::string hint = forbidden.empty() ? std::string{}
                                               : fmt::format(" ({}: only root and the user of the daemon may ask it)",
                                                             fmt::join(forbidden, ", "));
    const auto is_wanted = [&](const FoundDaemon& each) {
        return !wanted || each.name == *wanted || each.name == instance_of(*wanted);
    };
    if (wanted && std::ranges::none_of(live, is_wanted)) refuse_name(*wanted, live, hint);
    if (live.empty()) refuse(directory_by_hand, hint);
    std::erase_if(live, std::not_fn(is_wanted));
    return live;
}

}  // namespace preforkd
