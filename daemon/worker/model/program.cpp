#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <optional>
#include <utility>

#include "common/base/sys_error.hpp"
#include "daemon/worker/accept/accept_streams.hpp"
#include "daemon/worker/model/child_model.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/model/waiting_program.hpp"
#include "daemon/worker/program/program_environment.hpp"
#include "daemon/worker/program/program_launch.hpp"
#include "daemon/worker/program/stderr_lines.hpp"
#include "daemon/worker/program/tls_relays.hpp"

namespace preforkd {

namespace {

std::vector<std::string> daemon_environment() {
    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
    return variables;
}

std::optional<PeerIdentity> identity_of_peer(int client) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == -1) return std::nullopt;
    return PeerIdentity{.user = credentials.uid, .group = credentials.gid, .pid = credentials.pid};
}

struct SocketPair {
    UniqueFd ours{};
    UniqueFd its{};
};

SocketPair connected_sockets() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
          "make a socket for a program");
    return {.ours = UniqueFd{ends[0]}, .its = UniqueFd{ends[1]}};
}

/// Whom a program serves.
struct ProgramClient {
    explicit ProgramClient(AcceptedStream& stream)
        : peer{stream.address},
          local{stream.announced ? stream.announced->local : SocketAddress::local_of(stream.fd.get())},
          announced{std::move(stream.announced)} {
        if (local.family() == AF_UNIX && !announced) identity = identity_of_peer(stream.fd.get());
    }

    SocketAddress peer;
    SocketAddress local;
    std::optional<PeerIdentity> identity{};
    std::unique_ptr<const Announced> announced;
    std::optional<Tls> tls{};
};

/// What all processes of one program have in common.
class ProgramStarter {
public:
    ProgramStarter(const WorkerPlan& plan, const std::vector<std::string>& words, const RunAs& run_as)
        : file_{plan.program_files.at(words.front())},
          words_{words},
          change_{change_for(run_as, plan.process_changes)},
          environment_{change_ == nullptr ? daemon_environment() : change_->environment(daemon_environment())},
          launcher_{plan.original_descriptor_limit} {
        (void)find_program(file_);  // as the user that we are now
        for (std::string& word : words_) arguments_.push_back(word.data());
        arguments_.push_back(nullptr);
    }

    [[nodiscard]] ChildProcess start(int client, int standard_error, const ProgramClient& whose, ChildModel& model) {
        const Endpoint local = whose.local.to_endpoint(SOCK_STREAM);
        const Endpoint peer = whose.peer.to_endpoint(SOCK_STREAM);
        const bool is_unix = local.transport == Transport::Unix;
        char* const* environment =
            environment_.of({.local = local,
                             .peer = peer,
                             .identity = whose.identity,
                             .announcement = whose.announced ? &whose.announced->said : nullptr,
                             .tls = whose.tls ? &*whose.tls : nullptr,
                             .same_host = is_unix ? 1 : 1 + model.crew.clients_from(whose.peer)});
        return launcher_.start({.file = file_,
                                .arguments = arguments_.data(),
                                .environment = environment,
                                .client = client,
                                .standard_error = standard_error,
                                .change = change_});
    }

    /// One that gets a listening socket, and knows its clients by itself.
    [[nodiscard]] ChildProcess start_waiting(int socket, int standard_error) {
        return launcher_.start({.file = file_,
                                .arguments = arguments_.data(),
                                .environment = environment_.of_no_connection(),
                                .client = socket,
                                .standard_error = standard_error,
                                .change = change_});
    }

private:
    const std::string& file_;
    std::vector<std::string> words_;
    const ProcessChange* change_;  ///< nullptr: they run as this process
    std::vector<char*> arguments_{};
    ProgramEnvironment environment_;
    ProgramLauncher launcher_;
};

class ProgramJob final : public ChildJob {
public:
    ProgramJob(AcceptedStream stream, ProgramStarter& starter, ChildModel& model)
        : starter_{starter}, model_{model}, whose_{stream} {
        client = std::move(stream.fd);
        address = stream.address;
        linger = stream.linger;
        account = std::move(stream.account);
        place = std::move(stream.place);
        ended = [this, counted = stream.client] { model_.acceptor.ended(counted, account.outcome()); };
    }

    /// Of a client of TLS: `socket` leads to its relay, which does what comes after our end.
    ProgramJob(TlsRelay& relay, std::shared_ptr<RelayedClient> relayed, UniqueFd socket, ProgramStarter& starter,
               ChildModel& model)
        : starter_{starter}, model_{model}, whose_{relay.stream()}, relayed_{std::move(relayed)} {
        whose_.tls = relay.tls().facts();
        client = std::move(socket);
        address = relay.stream().address;
        ended = [this] { relayed_ = nullptr; };
    }

    void failed(ConnectionOutcome outcome) noexcept override {
        (relayed_ ? relayed_->account : account).failed(outcome);
    }

    ChildProcess launch() override {
        // O_NONBLOCK belongs to the description, and programs expect a socket that waits.
        check(::fcntl(client.get(), F_SETFL, 0), "make a connection blocking");
        StderrPipe pipe = open_stderr_pipe();
        errors_.emplace(model_.reactor, std::move(pipe.reader), [this](std::string_view line) { log_line(line); });
        ChildProcess process = starter_.start(client.get(), pipe.writer.get(), whose_, model_);
        pid_ = process.pid();
        return process;
    }

    void signal(const ChildProcess& program, int signo) const override { ::kill(-program.pid(), signo); }

    void report(const ChildEnd& end) override {
        if (errors_) errors_->finish();
        if (end.report != ExitReport{ExitReport::Kind::Exited, 0} && end.report.kind != ExitReport::Kind::Unknown)
            failed(ConnectionOutcome::Error);
        log_child_end(level_of(end), "program", *this, end);
    }

    [[nodiscard]] bool client_is_in_use(pid_t pid) const override { return ::kill(-pid, 0) == 0; }

private:
    static LogLevel level_of(const ChildEnd& end) noexcept {
        if (end.report.kind == ExitReport::Kind::Exited)
            return end.report.value == 0 ? LogLevel::Debug : LogLevel::Info;
        // How a program ends whose client has gone, or that was told to.
        const bool ordinary = end.report.value == SIGPIPE || (end.report.value == SIGTERM && end.asked_to_end);
        return ordinary ? LogLevel::Info : LogLevel::Warning;
    }

    void log_line(std::string_view line) const {
        if (log_enabled(LogLevel::Info) && model_.stderr_rate.allow())
            log(LogLevel::Info, "program of {peer}: {text}",
                {{"peer", peer()}, {"text", line}, {"child_pid", std::int64_t{pid_}}});
    }

    ProgramStarter& starter_;
    ChildModel& model_;
    ProgramClient whose_;
    std::shared_ptr<RelayedClient> relayed_{};
    std::optional<StderrLines> errors_{};
    pid_t pid_ = 0;
};

Acceptor::Take take_by_relaying(const Listener& listener, ProgramStarter& starter, ChildModel& model) {
    const auto begin = [&](TlsRelay& relay, std::shared_ptr<RelayedClient> client) {
        auto [ours, its] = connected_sockets();
        model.crew.start(std::make_unique<ProgramJob>(relay, std::move(client), std::move(its), starter, model));
        return std::move(ours);
    };
    const auto relays = std::make_shared<TlsRelays>(model.reactor, model.acceptor, model.crew.linger(), begin);
    model.acceptor.keep(relays);
    return accept_streams(listener, model.plan.settings, model.acceptor,
                          [relays](AcceptedStream stream) { relays->start(std::move(stream)); });
}

}  // namespace

int serve_program(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    std::map<std::pair<std::vector<std::string>, RunAs>, ProgramStarter> starters;
    const auto take_for = [&](const Listener& listener, ChildModel& model) {
        const std::vector<std::string>& words = program_at(listener.settings, plan.settings);
        if (words.empty()) return take_by_forking(listener, model);
        const RunAs& run_as = listener.settings.run_as;
        ProgramStarter& starter = starters.try_emplace({words, run_as}, plan, words, run_as).first->second;
        if (listener.settings.inetd_wait)
            return take_by_handing_over(listener, model, [&starter](int socket, int standard_error) {
                return starter.start_waiting(socket, standard_error);
            });
        if (listener.tls) return take_by_relaying(listener, starter, model);
        return accept_streams(listener, plan.settings, model.acceptor, [&starter, &model](AcceptedStream stream) {
            model.crew.start(std::make_unique<ProgramJob>(std::move(stream), starter, model));
        });
    };
    // Whatever was open when the daemon was started, and is not ours, must not reach a program.
    check(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), "keep descriptors from programs");
    // Without handlers nobody else has children here, and what programs leave behind may come to us (--workers 0).
    const auto strangers = runs_programs_only(plan) ? ChildCrew::Strangers::Reap : ChildCrew::Strangers::Leave;
    return serve_with_children(plan, handoff, control, ready, strangers, take_for);
}

}  // namespace preforkd
