#include "common/systemd/activation.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <string_view>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "common/net/bind_error.hpp"
#include "common/net/socket_address.hpp"
#include "common/systemd/fd_store_policy.hpp"
#include "common/systemd/stored_listeners.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

/// `descriptor 3 (web, tcp://:80)`
std::string describe(const PassedSocket& socket) {
    std::string where = "no address";
    try {
        where = to_string(local_endpoint(socket.fd.get()));
    } catch (const std::exception&) {  // of a family that has no endpoint, or no socket at all
    }
    return fmt::format("descriptor {} ({}, {})", socket.fd.get(), socket.name, where);
}

[[noreturn]] void refuse_socket(const PassedSocket& socket, std::string_view sentence) {
    throw OperatorError{ExitCode::Configuration, fmt::format("{} passed by systemd {}", describe(socket), sentence)};
}

/// O_NONBLOCK is on the description, which we share with systemd: it only ever accepts to flush, so it does not mind.
/// No option is set: systemd's copy would keep it for the next service that gets the socket.  Source: sd_listen_fds(3).
Listener adopt(PassedSocket socket, const ListenSettings& settings) {
    const int fd = socket.fd.get();
    if (!socket.is_in_use)
        check(::fcntl(fd, F_SETFL, check(::fcntl(fd, F_GETFL), "F_GETFL") | O_NONBLOCK), "set O_NONBLOCK");
    if (settings.backlog || settings.mode || settings.rcvbuf_bytes || !settings.user.empty() || !settings.group.empty())
        log(LogLevel::Notice, fmt::format("{} keeps its backlog, buffers, mode and owner: set them in its .socket unit",
                                          describe(socket)));
    const Endpoint local = local_endpoint(fd);
    return {.fd = std::move(socket.fd),
            .settings = settings,
            .local = local,
            .inherited = true,
            .passed_name = std::move(socket.name)};
}

/// An endpoint as asked for, and where that is.
struct Target {
    const ListenSettings* settings{};
    std::vector<SocketAddress> addresses{};  ///< none for fd://NAME
    bool served = false;
    std::optional<std::uint16_t> port_taken_back{};  ///< of our sockets that came back for it
};

std::vector<Target> resolve_targets(const std::vector<ListenSettings>& wanted) {
    std::vector<Target> targets;
    for (const ListenSettings& settings : wanted) {
        Target& target = targets.emplace_back(Target{.settings = &settings});
        if (settings.endpoint.transport == Transport::Passed) continue;
        try {
            target.addresses = resolve(settings.endpoint);
        } catch (const std::system_error& error) { throw resolve_error(settings, error); }
    }
    return targets;
}

enum class PortRule { Exact, AnyForZero };

bool stands_on(const Target& target, const PassedSocket& socket, PortRule rule) {
    const Endpoint& wanted = target.settings->endpoint;
    if (wanted.transport != local_endpoint(socket.fd.get()).transport) return false;
    const SocketAddress local = SocketAddress::local_of(socket.fd.get());
    const bool any_port = rule == PortRule::AnyForZero && wanted.port == 0;
    return std::ranges::any_of(target.addresses, [&](const SocketAddress& each) {
        return local == (any_port ? each.with_port(local.port()) : each);
    });
}

/// By name, then by address, then to an endpoint that leaves the port open.
Target* find_target(std::vector<Target>& targets, const PassedSocket& socket) {
    const auto first = [&](auto&& fits) {
        const auto found = std::ranges::find_if(targets, fits);
        return found == targets.end() ? nullptr : &*found;
    };
    if (Target* named = first([&](const Target& each) {
            const Endpoint& wanted = each.settings->endpoint;
            return wanted.transport == Transport::Passed && wanted.path == socket.name;
        }))
        return named;
    for (const PortRule rule : {PortRule::Exact, PortRule::AnyForZero})
        if (Target* there = first([&](const Target& each) { return stands_on(each, socket, rule); })) return there;
    return nullptr;
}

std::vector<PassedSocket> split_off_stored(std::vector<PassedSocket>& passed) {
    const auto stored = std::stable_partition(passed.begin(), passed.end(),
                                              [](const PassedSocket& socket) { return !is_stored_name(socket.name); });
    std::vector<PassedSocket> ours{std::move_iterator{stored}, std::move_iterator{passed.end()}};
    std::ranges::stable_sort(ours, {}, [](const PassedSocket& socket) { return queue_in_stored_name(socket.name); });
    passed.erase(stored, passed.end());
    return ours;
}

/// One endpoint may have several addresses, all on one port; of several that leave the port open, each has another.
Target* find_free_target(std::vector<Target>& targets, const PassedSocket& socket) {
    const std::uint16_t port = SocketAddress::local_of(socket.fd.get()).port();
    for (const PortRule rule : {PortRule::Exact, PortRule::AnyForZero})
        for (Target& each : targets)
            if ((!each.served || each.port_taken_back == port) && stands_on(each, socket, rule)) return &each;
    return nullptr;
}

void take_back_all(std::vector<PassedSocket> ours, std::vector<Target>& targets, Assignment& assignment) {
    for (PassedSocket& socket : ours) {
        Target* const target = socket.flaw.empty() ? find_free_target(targets, socket) : nullptr;
        std::optional<Listener> listener;
        if (target != nullptr) listener = take_back(socket, *target->settings);
        if (listener) {
            target->served = true;
            target->port_taken_back = listener->local.port;
            assignment.listeners.push_back(std::move(*listener));
        } else {
            assignment.unwanted.push_back(std::move(socket));
        }
    }
}

std::string names_of(const std::vector<PassedSocket>& passed) {
    std::string names;
    for (const PassedSocket& socket : passed) names += (names.empty() ? "" : ", ") + socket.name;
    return names.empty() ? "nothing" : names;
}

}  // namespace

Assignment assign_passed_sockets(std::vector<PassedSocket> passed, const std::vector<ListenSettings>& wanted,
                                 bool wanted_is_default) {
    Assignment assignment;
    std::vector<PassedSocket> ours = split_off_stored(passed);
    for (const PassedSocket& socket : passed)
        if (!socket.flaw.empty()) refuse_socket(socket, socket.flaw);
    if (wanted_is_default && !passed.empty()) {
        for (PassedSocket& socket : passed) assignment.listeners.push_back(adopt(std::move(socket), wanted.at(0)));
        assignment.unwanted = std::move(ours);
        return assignment;
    }

    const std::string names = names_of(passed);
    std::vector<Target> targets;  // asking the resolver for nothing could cost seconds
    if (!passed.empty() || !ours.empty()) targets = resolve_targets(wanted);
    for (PassedSocket& socket : passed) {
        Target* const target = find_target(targets, socket);
        if (target == nullptr)
            refuse_socket(socket,
                          fmt::format("matches no --listen: add `--listen fd://{}`, or remove it from its .socket unit",
                                      socket.name));
        target->served = true;
        assignment.listeners.push_back(adopt(std::move(socket), *target->settings));
    }
    take_back_all(std::move(ours), targets, assignment);

    for (std::size_t each = 0; each < wanted.size(); ++each) {
        if (!targets.empty() && targets[each].served) continue;
        if (wanted[each].endpoint.transport == Transport::Passed)
            throw OperatorError{
                ExitCode::Configuration,
                fmt::format("{}: no socket of this name was passed, but {}: set FileDescriptorName={} in the "
                            ".socket unit",
                            subject_of(wanted[each]), names, wanted[each].endpoint.path)};
        assignment.unbound.push_back(wanted[each]);
    }
    return assignment;
}

}  // namespace preforkd
