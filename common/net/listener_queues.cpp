#include "common/net/listener_queues.hpp"

#include <linux/filter.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "common/base/sys_error.hpp"
#include "common/net/bind_attempt.hpp"
#include "common/net/bind_error.hpp"
#include "common/process/cpu_count.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

int wanted_queues(const ListenSettings& settings) {
    const int queues = settings.queues.value_or(1);
    return queues == 0 ? usable_cpus() : queues;
}

bool share_an_address(const Listener& one, const Listener& other) {
    return one.local == other.local && one.settings.endpoint == other.settings.endpoint;
}

/// What the program returns is an index into the kernel's sockets of an address.
bool steer_to_first(int fd, int queues) noexcept {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, static_cast<unsigned>(queues)),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    const sock_fprog steering{.len = std::size(program), .filter = program};
    return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &steering, sizeof steering) == 0;
}

}  // namespace

std::vector<Listener> open_more_queues(const std::vector<Listener>& listeners, std::optional<int> default_backlog,
                                       Listens when) {
    std::vector<Listener> added;
    for (const Listener& first : listeners) {
        const auto is_one = [&](const Listener& each) { return share_an_address(each, first); };
        if (first.inherited || &*std::ranges::find_if(listeners, is_one) != &first) continue;
        const auto there = static_cast<int>(std::ranges::count_if(listeners, is_one));
        for (int more = wanted_queues(first.settings) - there; more > 0; --more) {
            const SocketAddress address = SocketAddress::local_of(first.fd.get());
            const int backlog = backlog_of(first.settings, default_backlog);
            BindAttempt attempt = try_bind_queue(first.fd.get(), first.settings, address,
                                                 when == Listens::AtOnce ? std::optional{backlog} : std::nullopt);
            if (attempt.error != 0) throw bind_error(first.settings, address, attempt.error);
            added.push_back({.fd = std::move(attempt.fd), .settings = first.settings, .local = first.local});
        }
    }
    return added;
}

bool may_change_queues(const ListenSettings& before, const ListenSettings& after) {
    // A program would be given a socket that does not listen yet, or have one that nobody else serves.
    return wanted_queues(before) == wanted_queues(after) || after.copies.run != RunMode::Pool;
}

void number_queues(std::vector<Listener>& listeners) {
    for (Listener& listener : listeners) {
        listener.queue = listener.queues = 0;
        for (const Listener& each : listeners) {
            if (&each == &listener) listener.queue = listener.queues;
            if (!share_an_address(each, listener)) continue;
            ++listener.queues;
            listener.order_lost |= each.order_lost;
        }
        // Of copies each serves queues of its own.
        if (!listener.order_lost && !listener.passed_on && !listener.inherited)
            listener.queues = std::min(listener.queues, wanted_queues(listener.settings));
    }
}

bool is_left_over(const Listener& listener, const ListenSettings& wanted) noexcept {
    return listener.queue >= wanted_queues(wanted) && is_surplus(listener) && is_shut_down(listener.fd.get());
}

void note_lost_order(std::vector<Listener>& listeners) noexcept {
    for (const Listener& shut : listeners) {
        if (shut.local.transport != Transport::Tcp || !is_shut_down(shut.fd.get())) continue;
        const auto comes_later = [&](const Listener& each) {
            return share_an_address(each, shut) && each.queue > shut.queue && !is_shut_down(each.fd.get());
        };
        if (std::ranges::none_of(listeners, comes_later)) continue;
        for (Listener& each : listeners) each.order_lost |= share_an_address(each, shut);
    }
}

std::vector<std::size_t> steer_clients(const std::vector<Listener>& listeners, const Listener& first) {
    std::vector<std::size_t> going;
    for (std::size_t index = 0; index < listeners.size(); ++index)
        if (const Listener& each = listeners[index];
            share_an_address(each, first) && is_surplus(each) && !is_shut_down(each.fd.get()))
            going.push_back(index);
    const int none = 0;
    if (going.empty())
        ::setsockopt(first.fd.get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none);
    else if (!steer_to_first(first.fd.get(), first.queues)) {
        log(LogLevel::Warning, "cannot have fewer queues at {endpoint} without a restart, all are served: {cause}",
            {{"endpoint", to_string(first)}, {"cause", std::strerror(errno)}});
        going.clear();
    }
    return going;
}

}  // namespace preforkd
