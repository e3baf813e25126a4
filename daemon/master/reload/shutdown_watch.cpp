#include "daemon/master/reload/shutdown_watch.hpp"

#include <exception>
#include <system_error>

#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/net/listener_queues.hpp"
#include "common/systemd/stored_listeners.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto between_revivals = 5s;  // each is a new generation of workers
constexpr auto retry_period = 1s;

/// Whether it will serve again, with the next generation.
bool revive(Listener& listener, int backlog, SystemdNotify& systemd) {
    try {
        if (listen_again(listener, backlog)) return true;
        if (replace_socket(listener)) {
            forget_listener(systemd, listener);  // the next generation has it kept, as it is now
            return true;
        }
        if (!listener.file) return false;
        remove_socket_file(listener);  // a path without its file is bound again, one that has it counts as in use
        return true;
    } catch (const std::exception& error) {
        log(LogLevel::Error, "a listener was not opened again: {cause}", {{"cause", error.what()}});
        return false;
    }
}

}  // namespace

void ShutdownWatch::follow(const std::vector<Listener>& listeners) {
    for (const UniqueFd& each : watched_) events_.remove(each.get());
    watched_.clear();
    look_at_.reset();  // of those that are shut down already the kernel tells again
    try {
        for (const Listener& listener : listeners) {
            watched_.push_back(duplicate(listener).fd);
            // Once each: what has been shut down would be told of for ever.
            if (!events_.add(watched_.back().get(), shutdown_key, EPOLLRDHUP | EPOLLONESHOT))
                throw_errno("watch a listener");
        }
    } catch (const std::system_error& error) {
        log(LogLevel::Warning, "cannot watch the listeners: {cause}; should a worker shut one down, reload",
            {{"cause", with_remedy(error)}});
    }
}

void ShutdownWatch::look_later(Clock::time_point now) noexcept { look_at_ = now + retry_period; }

void ShutdownWatch::disconnect_all(const std::vector<Listener>& listeners, Clock::time_point now) {
    if (now < may_disconnect_at_) return;
    for (const Listener& listener : listeners) try {
            // Where a program has the socket, connecting it is its business until it has ended.
            if (listener.settings.inetd_wait || !disconnect(listener.fd.get(), listener.local)) continue;
            may_disconnect_at_ = now + retry_period;
            log(LogLevel::Error, "a worker has connected {endpoint}, which heard that peer alone: undone",
                {{"endpoint", to_string(listener.local)}});
        } catch (const std::system_error& error) {
            may_disconnect_at_ = now + retry_period;
            log(LogLevel::Error, "a worker has connected a listener, which hears that peer alone: {cause}",
                {{"cause", with_remedy(error)}});
        }
}

bool ShutdownWatch::should_serve_again(std::vector<Listener>& listeners, const Settings& settings,
                                       Clock::time_point now) {
    if (!has_passed(look_at_, now)) return false;
    look_at_.reset();
    bool any = false;
    note_lost_order(listeners);
    for (Listener& listener : listeners) {
        if (is_surplus(listener) || !is_shut_down(listener.fd.get())) continue;
        if (listener.order_lost) forget_listener(systemd_, listener);  // to be kept under a name that says so
        const bool revived = revive(listener, backlog_of(listener.settings, settings.backlog), systemd_);
        any |= revived;
        log(LogLevel::Error,
            revived              ? "a worker has shut down {endpoint}: new workers serve it again"
            : listener.inherited ? "a worker has shut down {endpoint}, which refuses clients: restart its .socket unit"
                                 : "a worker has shut down {endpoint}, which refuses clients: restart the daemon",
            {{"endpoint", to_string(listener.local)}});
    }
    if (any) next_revival_ = now + between_revivals;
    return any;
}

}  // namespace preforkd
