#include "common/systemd/socket_takeover.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/net/bind_attempt.hpp"
#include "common/net/listener_queues.hpp"
#include "common/systemd/activation.hpp"

namespace preforkd {
namespace {

std::vector<std::string> unchangeable(const ListenSettings& before, const ListenSettings& after) {
    std::vector<std::string> names;
    const auto compare = [&](bool same, const char* key) {
        if (!same) names.push_back(to_string(after.endpoint) + ' ' + key);
    };
    compare(before.v6only == after.v6only, "v6only");
    compare(may_change_queues(before, after), "queues");
    compare(before.mode == after.mode, "mode");
    compare(before.user == after.user, "user");
    compare(before.group == after.group, "group");
    // There is no way back to the default of the kernel.
    compare(!before.rcvbuf_bytes || after.rcvbuf_bytes, "rcvbuf");
    return names;
}

/// What holds of a bound socket under new settings; so the next reload tells again what is `unchangeable`.
ListenSettings with_unchangeable(ListenSettings settings, const ListenSettings& before) {
    settings.v6only = before.v6only;
    if (!may_change_queues(before, settings)) settings.queues = before.queues;
    settings.mode = before.mode;
    settings.user = before.user;
    settings.group = before.group;
    if (!settings.rcvbuf_bytes) settings.rcvbuf_bytes = before.rcvbuf_bytes;
    return settings;
}

/// We do not know the file of a passed socket, so only that there is none.
bool is_out_of_reach(const Listener& listener) {
    const Endpoint& local = listener.local;
    const bool has_file = local.transport == Transport::Unix || local.transport == Transport::UnixDatagram;
    struct stat info {};
    return has_file && !local.abstract && !local.path.empty() && ::lstat(local.path.c_str(), &info) == -1 &&
           errno == ENOENT;
}

/// What all descriptors of one socket have in common: device and inode.
using SocketNumber = std::pair<dev_t, ino_t>;

std::optional<SocketNumber> socket_number(const Listener& listener) noexcept {
    struct stat socket {};
    if (::fstat(listener.fd.get(), &socket) == -1) return std::nullopt;
    return SocketNumber{socket.st_dev, socket.st_ino};
}

}  // namespace

bool serves(const ListenSettings& bound, const ListenSettings& wanted) {
    return bound.endpoint == wanted.endpoint && bound == with_unchangeable(wanted, bound);
}

bool has_lost_its_file(const Listener& listener) noexcept {
    // The inode of a bound socket is not given to another file as long as the socket lives.
    return listener.file && !is_socket_at(listener.local.path, *listener.file);
}

Takeover take_over_sockets(const std::vector<Listener>& current, const std::vector<ListenSettings>& endpoints,
                           bool are_default) {
    std::vector<PassedSocket> passed;
    for (const Listener& listener : current)
        if (listener.inherited)
            passed.push_back({.fd = duplicate(listener).fd, .name = listener.passed_name, .is_in_use = true});
    Assignment assignment = assign_passed_sockets(std::move(passed), endpoints, are_default);

    Takeover taken{.listeners = std::move(assignment.listeners)};
    for (const Listener& listener : taken.listeners)
        if (is_out_of_reach(listener)) taken.out_of_reach.push_back(to_string(listener.local));
    std::map<std::string, std::vector<const Listener*>> free;  // what we bound and nobody has taken yet, by endpoint
    for (const Listener& listener : current)
        if (!listener.inherited) free[to_string(listener.settings.endpoint)].push_back(&listener);
    for (const ListenSettings& wanted : assignment.unbound) {
        const std::string endpoint = to_string(wanted.endpoint);
        std::vector<const Listener*>& there = free[endpoint];
        const bool lost = !there.empty() && has_lost_its_file(*there.front());
        if (lost) taken.lost.push_back(endpoint);
        if (there.empty() || lost) {
            taken.unbound.push_back(wanted);
            continue;
        }
        // One endpoint may have several addresses, all on one port; of port 0, several endpoints may have the same
        // text.
        const std::uint16_t port = there.front()->local.port;
        std::erase_if(there, [&](const Listener* each) {
            if (each->local.port != port) return false;
            if (is_left_over(*each, wanted)) return true;
            for (const std::string& kept : unchangeable(each->settings, wanted))  // said once of all of an endpoint's
                if (std::ranges::find(taken.kept, kept) == taken.kept.end()) taken.kept.push_back(kept);
            taken.listeners.emplace_back(duplicate(*each)).settings = with_unchangeable(wanted, each->settings);
            return true;
        });
    }
    return taken;
}

void change_sockets(const std::vector<Listener>& listeners, std::optional<int> default_backlog) {
    for (const Listener& listener : listeners) {
        if (listener.inherited) continue;
        change_options(listener.fd.get(), listener.settings, backlog_of(listener.settings, default_backlog),
                       listener.passed_on ? Waits::AsItIs : Waits::Never);
        warn_of_cut_backlog(listener, default_backlog);
    }
}

std::vector<std::uint32_t> only_in(const std::vector<Listener>& listeners, const std::vector<Listener>& others) {
    std::set<SocketNumber> known;
    for (const Listener& other : others)
        if (const auto socket = socket_number(other)) known.insert(*socket);
    std::vector<std::uint32_t> indices;
    for (std::uint32_t index = 0; index < listeners.size(); ++index) {
        const auto socket = socket_number(listeners[index]);
        if (!socket || !known.contains(*socket)) indices.push_back(index);
    }
    return indices;
}

}  // namespace preforkd
