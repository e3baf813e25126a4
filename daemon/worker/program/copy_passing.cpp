#include "daemon/worker/program/copy_passing.hpp"

#include <fcntl.h>

#include <algorithm>

#include "common/base/sys_error.hpp"
#include "daemon/worker/accept/queue_share.hpp"

namespace preforkd {

namespace {

/// What sd_listen_fds(3) allows: printable ASCII without colons, at most 255 of them.
std::string fit_for_a_name(std::string name) {
    constexpr std::size_t longest = 255;
    std::ranges::replace_if(
        name, [](char c) { return c <= ' ' || c >= '\x7f' || c == ':'; }, '_');
    return name.substr(0, longest);
}

std::string name_of(const Listener& listener) {
    const Endpoint& local = listener.local;
    if (listener.inherited && !listener.passed_name.empty()) return listener.passed_name;
    if (local.transport == Transport::Tcp || local.transport == Transport::Udp) return std::to_string(local.port);
    return local.path.substr(local.path.rfind('/') + 1);
}

}  // namespace

std::vector<const Listener*> listeners_of_copy(const WorkerPlan& plan, int slot) {
    const QueueShare share{.slot = slot, .workers = plan.workers};
    std::vector<const Listener*> own;
    for (const Listener& listener : plan.listeners)
        if (is_own(listener, plan) && share.owns(listener.queue, listener.queues)) own.push_back(&listener);
    return own;
}

std::vector<CopySocket> copy_sockets_of(const WorkerPlan& plan, int slot) {
    std::vector<CopySocket> sockets;
    for (const Listener* listener : listeners_of_copy(plan, slot))
        sockets.push_back({.local = listener->local, .name = fit_for_a_name(name_of(*listener))});
    return sockets;
}

void make_blocking(const Listener& listener) {
    const int flags = check(::fcntl(listener.fd.get(), F_GETFL), "read a listener's flags");
    check(::fcntl(listener.fd.get(), F_SETFL, flags & ~O_NONBLOCK), "make a listener blocking");
}

void make_blocking(const std::vector<Listener>& listeners, const Settings& settings) {
    for (const Listener& listener : listeners)
        if (run_mode_of(listener.settings, settings) == RunMode::Pool) make_blocking(listener);
}

}  // namespace preforkd
