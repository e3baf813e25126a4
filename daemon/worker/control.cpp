#include "daemon/worker/control.hpp"

#include <cstring>
#include <utility>

#include "common/channel.hpp"
#include "common/log_reopen.hpp"

namespace preforkd {

Control::Control(UniqueFd channel) : channel_{std::move(channel)}, signals_{SIGQUIT, SIGTERM} {}

Control::Control(OperatorHooks hooks)
    : hooks_{std::move(hooks)}, signals_{SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU} {}

Control::Control(EmbedderHooks hooks) : embedder_{std::move(hooks)}, signals_{} {}

void Control::read_signals(Service& service) {
    if (embedder_.stop_asked) {
        if (embedder_.stop_asked()) service.drain({});
        return;
    }
    while (const auto signo = signals_.next()) {
        if (channel_)
            obey_master(*signo, service);
        else
            obey_operator(*signo, service);
    }
}

void Control::obey_master(int signo, Service& service) {
    (void)read_orders(service);  // whether to empty the queue was said before the signal was sent
    if (signo == SIGQUIT) service.drain(closing_);
    if (signo == SIGTERM) {
        service.drain(closing_);
        service.hurry();
    }
}

void Control::obey_operator(int signo, Service& service) {
    switch (signo) {
        case SIGTERM:
        case SIGQUIT: return stop_as_operator_asks(service, stopping_);
        case SIGINT: return stop_as_operator_asks(service, true);
        case SIGUSR1: (void)reopen_log(hooks_.log); return;
        default:
            log(LogLevel::Notice,
                "signal ignored: reload, upgrade and pool size need a master, and --workers 0 has none",
                {{"signal", sigabbrev_np(signo)}});
    }
}

void Control::stop_as_operator_asks(Service& service, bool fast) {
    if (!std::exchange(stopping_, true)) hooks_.before_stop();
    service.drain({.all = true});
    if (fast) service.hurry();
}

bool Control::read_orders(Service& service) {
    for (;;) {
        auto received = receive_order(channel_.get());
        if (std::holds_alternative<NothingYet>(received)) return true;
        if (std::holds_alternative<PeerGone>(received)) {
            orphaned_ = true;
            log(LogLevel::Warning, "the master is gone: finishing what runs, then leaving");
            service.drain({});
            return false;
        }
        auto& [order, listener, fd] = std::get<ReceivedOrder>(received);
        switch (order) {
            case Order::LookForClients: service.look(); break;
            case Order::EmptyQueue:
                if (listener == every_listener)
                    closing_.all = true;
                else
                    closing_.indices.insert(listener);
                break;
            case Order::TakeLog: adopt_log_fd(fd.release()); break;
        }
    }
}

}  // namespace preforkd
