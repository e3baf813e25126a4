#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <utility>

#include "common/base/sys_error.hpp"
#include "daemon/worker/accept/accept_streams.hpp"
#include "daemon/worker/model/child_model.hpp"
#include "daemon/worker/model/model.hpp"
#include "daemon/worker/program/program_environment.hpp"
#include "daemon/worker/program/program_launch.hpp"
#include "daemon/worker/program/stderr_lines.hpp"

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

struct Pipe {
    UniqueFd reader{};
    UniqueFd writer{};
};

/// We must never wait for the program, and the program expects to wait for us.
Pipe open_stderr_pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "make a pipe for a program's standard error");
    Pipe pipe{.reader = UniqueFd{ends[0]}, .writer = UniqueFd{ends[1]}};
    check(::fcntl(pipe.writer.get(), F_SETFL, 0), "make a pipe blocking");
    return pipe;
}

/// What all programs of a worker have in common.
class ProgramShop {
public:
    explicit ProgramShop(const WorkerPlan& plan)
        : file_{plan.program_file}, words_{plan.settings.program}, launcher_{plan.original_descriptor_limit} {
        for (std::string& word : words_) arguments_.push_back(word.data());
        arguments_.push_back(nullptr);
    }

    [[nodiscard]] ChildProcess start(int client, int standard_error, const SocketAddress& peer,
                                     const Announced* announced, ChildModel& service) {
        const SocketAddress local = announced != nullptr ? announced->local : SocketAddress::local_of(client);
        const Endpoint local_endpoint = local.to_endpoint(SOCK_STREAM);
        const Endpoint peer_endpoint = peer.to_endpoint(SOCK_STREAM);
        const bool is_unix = local_endpoint.transport == Transport::Unix;
        char* const* environment =
            environment_.of({.local = local_endpoint,
                             .peer = peer_endpoint,
                             .identity = is_unix && announced == nullptr ? identity_of_peer(client) : std::nullopt,
                             .announcement = announced != nullptr ? &announced->said : nullptr,
                             .same_host = is_unix ? 1 : 1 + service.crew.clients_from(peer)});
        return launcher_.start({.file = file_,
                                .arguments = arguments_.data(),
                                .environment = environment,
                                .client = client,
                                .standard_error = standard_error});
    }

private:
    const std::string& file_;
    std::vector<std::string> words_;
    std::vector<char*> arguments_{};
    ProgramEnvironment environment_{daemon_environment()};
    ProgramLauncher launcher_;
};

class ProgramJob final : public ChildJob {
public:
    ProgramJob(AcceptedStream stream, ProgramShop& shop, ChildModel& service) : shop_{shop}, service_{service} {
        client = std::move(stream.fd);
        address = stream.address;
        linger = stream.linger;
        account = std::move(stream.account);
        announced_ = std::move(stream.announced);
        ended = [&acceptor = service.acceptor] { acceptor.ended(); };
    }

    ChildProcess launch() override {
        // O_NONBLOCK belongs to the description, and programs expect a socket that waits.
        check(::fcntl(client.get(), F_SETFL, 0), "make a connection blocking");
        Pipe pipe = open_stderr_pipe();
        errors_.emplace(service_.reactor, std::move(pipe.reader), [this](std::string_view line) { log_line(line); });
        ChildProcess process = shop_.start(client.get(), pipe.writer.get(), address, announced_.get(), service_);
        pid_ = process.pid();
        return process;
    }

    void signal(const ChildProcess& program, int signo) const override { ::kill(-program.pid(), signo); }

    void report(const ChildEnd& end) override {
        if (errors_) errors_->finish();
        if (end.report != ExitReport{ExitReport::Kind::Exited, 0} && end.report.kind != ExitReport::Kind::Unknown)
            account.failed(ConnectionOutcome::Error);
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
        if (log_enabled(LogLevel::Info) && service_.stderr_rate.allow())
            log(LogLevel::Info, "program of {peer}: {text}",
                {{"peer", peer()}, {"text", line}, {"child_pid", std::int64_t{pid_}}});
    }

    ProgramShop& shop_;
    ChildModel& service_;
    std::unique_ptr<const Announced> announced_{};
    std::optional<StderrLines> errors_{};
    pid_t pid_ = 0;
};

}  // namespace

int serve_program(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    (void)find_program(plan.program_file);  // as the user that we are now
    ProgramShop shop{plan};
    const auto take_for = [&](const Listener& listener, ChildModel& service) {
        if (!listener.settings.handler.empty()) return take_by_forking(listener, service);
        return accept_streams(listener, plan.settings.log_connections, service.acceptor, [&](AcceptedStream stream) {
            service.crew.start(std::make_unique<ProgramJob>(std::move(stream), shop, service));
        });
    };
    // Whatever was open when the daemon was started, and is not ours, must not reach a program.
    check(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), "keep descriptors from programs");
    // Without handlers nobody else has children here, and what programs leave behind may come to us (--workers 0).
    const auto strangers = runs_programs_only(plan) ? ChildCrew::Strangers::Reap : ChildCrew::Strangers::Leave;
    return serve_with_children(plan, handoff, control, ready, strangers, take_for);
}

}  // namespace preforkd
