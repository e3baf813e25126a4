#include "daemon/observe/observer.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <memory>
#include <vector>

#include "common/base/sys_error.hpp"
#include "common/config/observe_endpoint.hpp"
#include "common/log/log_output.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/helper_user.hpp"
#include "common/process/isolation.hpp"
#include "common/process/sandbox.hpp"
#include "daemon/observe/accept_loop.hpp"
#include "daemon/observe/agent_session.hpp"
#include "daemon/observe/http_session.hpp"
#include "daemon/observe/snapshots.hpp"
#include "daemon/worker/process/worker_sandbox.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {

/// Once the master has gone: for who is being answered.
constexpr std::chrono::seconds last_patience{2};

void keep_only_own_descriptors(const ObserverHandoff& handoff) {
    std::vector<int> keep{handoff.questions.get(), handoff.answers.get(), log_fd(), handoff.log_pipe};
    for (const Listener& listener : handoff.listeners) keep.push_back(listener.fd.get());
    close_all_descriptors_except(keep);
    discard_standard_output();
}

/// It ends with the master alone: a signal for all processes of a service is not meant to take the eyes from who
/// watches it stop.
void take_signals() {
    for (const int signo : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGPIPE})
        ::signal(signo, SIG_IGN);
    sigset_t none;
    ::sigemptyset(&none);
    check(::sigprocmask(SIG_SETMASK, &none, nullptr), "set the observer's signal mask");
}

OwnNames names_of(const Listener& listener) {
    const bool leads_here = listener.local.transport == Transport::Tcp && is_local(listener.local);
    return {.any = !leads_here, .host = listener.settings.endpoint.host};
}

class Observer {
public:
    explicit Observer(ObserverHandoff handoff)
        : snapshots_{context_, std::move(handoff.questions), std::move(handoff.answers), [this] { leave(); }} {
        for (const Listener& listener : handoff.listeners) {
            const bool is_agent = listener.settings.serves == Serves::Agents;
            loops_.push_back(std::make_unique<AcceptLoop>(
                context_, listener,
                [this, is_agent, names = names_of(listener)](AcceptLoop::Socket socket, SessionState& state) {
                    return is_agent ? serve_agent(std::move(socket), snapshots_)
                                    : serve_http(std::move(socket), state, snapshots_, names);
                },
                [this] { end_when_idle(); }));
        }
    }

    void run() { context_.run(); }

private:
    void leave() {
        for (const auto& loop : loops_) loop->stop();
        patience_.expires_after(last_patience);
        patience_.async_wait([this](const boost::system::error_code&) { context_.stop(); });
        end_when_idle();
    }

    void end_when_idle() {
        const bool busy = std::ranges::any_of(loops_, [](const auto& loop) { return loop->sessions() != 0; });
        if (snapshots_.ended() && !busy) context_.stop();
    }

    asio::io_context context_{1};
    asio::steady_timer patience_{context_};
    std::vector<std::unique_ptr<AcceptLoop>> loops_{};
    Snapshots snapshots_;
};

int observe(const Sandbox& sandbox, ObserverHandoff handoff) {
    name_process("-look", "observer");
    leave_terminal();
    keep_only_own_descriptors(handoff);
    if (handoff.log_pipe >= 0) {
        log_into_pipe(handoff.log_pipe);
        ::close(handoff.log_pipe);
    }
    take_signals();
    become_helper_user(Helper::Observer);
    allow_tracing(false);
    sandbox.put_on();
    Observer{std::move(handoff)}.run();
    return 0;
}

}  // namespace

ObserverMain make_observer(const Settings& settings) {
    if (!settings.observe && !settings.agent) return {};
    Settings bare{.sandbox = settings.sandbox};  // no handler's files, and no program's
    return [sandbox = make_sandbox(bare, {.model = Model::Async})](ObserverHandoff handoff) {
        return observe(*sandbox, std::move(handoff));
    };
}

}  // namespace preforkd
