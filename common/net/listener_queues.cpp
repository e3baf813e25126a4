#include "common/net/listener_queues.hpp"

#include <sys/socket.h>

#include <algorithm>

#include "common/base/sys_error.hpp"
#include "common/net/bind_attempt.hpp"
#include "common/net/bind_error.hpp"
#include "common/process/cpu_count.hpp"

namespace preforkd {
namespace {

int wanted_queues(const ListenSettings& settings) {
    const int queues = settings.queues.value_or(1);
    return queues == 0 ? usable_cpus() : queues;
}

bool share_an_address(const Listener& one, const Listener& other) {
    return one.local == other.local && one.settings.endpoint == other.settings.endpoint;
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
    const int more = wanted_queues(after) - wanted_queues(before);
    // A program would be given a socket that does not listen yet.
    return more == 0 || (more > 0 && after.copies.run != RunMode::Pool);
}

void number_queues(std::vector<Listener>& listeners) {
    for (Listener& listener : listeners) {
        listener.queue = listener.queues = 0;
        for (const Listener& each : listeners) {
            if (&each == &listener) listener.queue = listener.queues;
            listener.queues += share_an_address(each, listener) ? 1 : 0;
        }
    }
}

}  // namespace preforkd
