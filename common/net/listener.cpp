#include "common/net/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

#include "common/base/operator_error.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/config/tls_scheme.hpp"
#include "common/net/bind_attempt.hpp"
#include "common/net/bind_error.hpp"
#include "common/net/port_holder.hpp"
#include "common/net/socket_address.hpp"
#include "common/process/stop_request.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

/// listen(2) silently cuts the queue to this.  Source: listen(2), /proc/sys/net/core/somaxconn.
std::optional<int> kernel_limit() {
    int limit = 0;
    if (std::ifstream{"/proc/sys/net/core/somaxconn"} >> limit) return limit;
    return std::nullopt;  // ProcSubset=pid, say
}

/// What the kernel has made of the backlog of a listening TCP socket.  Source: tcp(7), TCP_INFO.
std::optional<int> backlog_in_force(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == -1 || info.tcpi_state != TCP_LISTEN)
        return std::nullopt;
    return static_cast<int>(info.tcpi_sacked);
}

/// A daemon that is just ending may need a moment to let go of its address.  Waiting for ourselves would be in vain.
BindAttempt bind_patiently(const ListenSettings& settings, const SocketAddress& address, int backlog,
                           WhenTaken when_taken) {
    if (when_taken == WhenTaken::IsFine) return look_at_bind(settings, address);
    for (int retry = 0;; ++retry) {
        BindAttempt attempt = try_bind(settings, address, backlog);
        if (attempt.error != EADDRINUSE || retry == bind_retries) return attempt;
        if (retry == 0) {
            const auto holder = find_holder(address, socket_type_of(settings.endpoint.transport));
            if (holder && holder->pid == ::getpid()) return attempt;
            if (when_taken == WhenTaken::Fail) throw AddressTaken{in_use_error(settings, address, holder)};
            log(LogLevel::Notice, fmt::format("{}: Address already in use: retrying for {} ms", subject_of(settings),
                                              (bind_retries * between_bind_retries).count()));
        }
        if (stop_requested_within(between_bind_retries)) return attempt;
    }
}

/// /etc/hosts often gives localhost an IPv6 address that a container without IPv6 has not.
bool lacks_ipv6(const BindAttempt& attempt, const SocketAddress& address) {
    return address.family() == AF_INET6 && (attempt.error == EAFNOSUPPORT || attempt.error == EADDRNOTAVAIL);
}

Listener make_listener(BindAttempt attempt, const ListenSettings& settings, WhenTaken when_taken) {
    const Endpoint local = when_taken == WhenTaken::IsFine ? settings.endpoint : local_endpoint(attempt.fd.get());
    return {.fd = std::move(attempt.fd), .settings = settings, .local = local, .file = attempt.file};
}

/// Adds all of `addresses` to `made`, on one port; false when the port that the kernel chose for the first is taken on
/// another.
bool bind_all(std::vector<Listener>& made, const ListenSettings& settings, const std::vector<SocketAddress>& addresses,
              int backlog, WhenTaken when_taken) {
    const bool kernel_chooses = settings.endpoint.port == 0;
    for (const SocketAddress& each : addresses) {
        const bool follows = kernel_chooses && !made.empty() && when_taken != WhenTaken::IsFine;
        const SocketAddress address = follows ? each.with_port(made.front().local.port) : each;
        BindAttempt attempt =
            follows ? try_bind(settings, address, backlog) : bind_patiently(settings, address, backlog, when_taken);
        if (follows && attempt.error == EADDRINUSE) return false;
        const bool last_hope = made.empty() && &each == &addresses.back();
        if (lacks_ipv6(attempt, address) && !last_hope) {
            if (!settings.endpoint.host.empty())
                log(LogLevel::Warning, fmt::format("{}: this machine does not have {}, which is left out",
                                                   subject_of(settings), address_of(address.to_endpoint(SOCK_STREAM))));
            continue;
        }
        if (attempt.error != 0) throw bind_error(settings, address, attempt.error);
        made.push_back(make_listener(std::move(attempt), settings, when_taken));
        if (settings.endpoint.host.empty()) break;  // `::` is first, and serves IPv4 too unless told not to
    }
    return true;
}

std::vector<SocketAddress> addresses_of(const ListenSettings& settings) {
    if (settings.endpoint.transport == Transport::Passed)
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("{}: no socket of this name was passed: start it from a .socket unit "
                                        "with FileDescriptorName={}",
                                        subject_of(settings), settings.endpoint.path)};
    try {
        std::vector<SocketAddress> addresses = resolve(settings.endpoint);
        if (settings.endpoint.host.empty() && settings.v6only.value_or(false))
            std::erase_if(addresses, [](const auto& each) { return each.family() == AF_INET; });
        return addresses;
    } catch (const std::system_error& error) { throw resolve_error(settings, error); }
}

std::vector<Listener> bind_endpoint(const ListenSettings& settings, std::optional<int> default_backlog,
                                    WhenTaken when_taken) {
    const std::vector<SocketAddress> addresses = addresses_of(settings);
    const int backlog = backlog_of(settings, default_backlog);
    constexpr std::size_t rounds = 32;
    std::vector<std::vector<Listener>> collided;  // kept open, or the kernel might choose the same port again
    while (collided.size() < rounds) {
        std::vector<Listener> made;
        if (bind_all(made, settings, addresses, backlog, when_taken)) {
            warn_of_cut_backlog(made.front(), default_backlog);
            warn_of_private_directory(settings);
            return made;
        }
        collided.push_back(std::move(made));
    }
    throw bind_error(settings, addresses.front(), EADDRINUSE);
}

}  // namespace

int backlog_of(const ListenSettings& settings, std::optional<int> default_backlog) {
    constexpr int most_by_default = 4096;  // what the kernel allows since Linux 5.4
    const std::optional<int> asked = settings.backlog ? settings.backlog : default_backlog;
    return asked.value_or(std::min(most_by_default, kernel_limit().value_or(most_by_default)));
}

void warn_of_cut_backlog(const Listener& listener, std::optional<int> default_backlog) {
    const ListenSettings& settings = listener.settings;
    if (is_datagram(settings.endpoint.transport)) return;
    const int asked = backlog_of(settings, default_backlog);
    std::optional<int> limit = kernel_limit();
    if (!limit) limit = backlog_in_force(listener.fd.get());
    if (limit && asked > *limit)
        log(LogLevel::Warning,
            fmt::format("{}: backlog {} is cut to {}: raise net.core.somaxconn", subject_of(settings), asked, *limit));
}

std::string to_string(const Listener& listener) {
    const std::string address = to_string(listener.local);
    return listener.settings.tls ? add_tls(address) : address;
}

Listener duplicate(const Listener& listener) {
    return {.fd = UniqueFd{check(::fcntl(listener.fd.get(), F_DUPFD_CLOEXEC, 3), "duplicate a listener")},
            .settings = listener.settings,
            .local = listener.local,
            .inherited = listener.inherited,
            .file = listener.file,
            .access = listener.access,
            .tls = listener.tls,
            .sources = listener.sources,
            .refused = listener.refused,
            .replies_per_source = listener.replies_per_source,
            .order_lost = listener.order_lost,
            .passed_name = listener.passed_name};
}

std::vector<Listener> bind_listeners(const std::vector<ListenSettings>& wanted, std::optional<int> default_backlog,
                                     WhenTaken when_taken) {
    std::vector<Listener> made;
    try {
        for (const ListenSettings& settings : wanted)
            std::ranges::move(bind_endpoint(settings, default_backlog, when_taken), std::back_inserter(made));
    } catch (const std::exception& error) {
        std::ranges::for_each(made, remove_socket_file);
        if (dynamic_cast<const OperatorError*>(&error) != nullptr) throw;
        throw OperatorError{ExitCode::System, fmt::format("--listen: {}", with_remedy(error))};
    }
    return made;
}

std::vector<Listener> look_at_listeners(const std::vector<ListenSettings>& wanted, std::optional<int> default_backlog) {
    std::vector<ListenSettings> own = wanted;
    std::erase_if(own, [](const ListenSettings& each) { return each.endpoint.transport == Transport::Passed; });
    return bind_listeners(own, default_backlog, WhenTaken::IsFine);
}

void remove_socket_file(const Listener& listener) noexcept {
    if (listener.file && !listener.inherited) remove_if_same(listener.local.path, *listener.file);
}

}  // namespace preforkd
