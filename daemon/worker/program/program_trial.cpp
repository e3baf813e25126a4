#include "daemon/worker/program/program_trial.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/process/child_process.hpp"
#include "common/process/sandbox.hpp"
#include "common/process/spawn.hpp"
#include "daemon/worker/program/program_fork.hpp"

namespace preforkd {

namespace {

constexpr int no_trial = 255;  // no errno: those end at 133

// --- In the throw-away child ---

void take_place_of_worker(const Settings& settings, const Identity& identity) {
    assume(identity);
    if (!settings.chdir.empty()) check(::chdir(settings.chdir.c_str()), "--chdir");
}

/// Ends in the stop before the program's first instruction, or as the exit code that tells why it was not reached.
int execute(const std::string& file, const std::vector<std::string>& words, const Settings& settings,
            const Identity& identity, const Sandbox& sandbox, const ProcessChange* change) {
    try {
        take_place_of_worker(settings, identity);
        if (change != nullptr) change->make();
    } catch (const std::exception&) { return no_trial; }
    // A traced process stops for every signal that it takes: only the one that tells of the exec may come.
    sigset_t others;
    ::sigfillset(&others);
    ::sigdelset(&others, SIGTRAP);
    ::sigprocmask(SIG_SETMASK, &others, nullptr);
    ::signal(SIGTRAP, SIG_DFL);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // a tracee whose tracer dies would go on
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == -1) return no_trial;
    try {
        sandbox.put_on();  // which forbids to trace
    } catch (const std::exception&) { return no_trial; }

    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execve(file.c_str(), arguments.data(), environ);
    return errno;
}

// --- In the master ---

siginfo_t wait_for_verdict(const ChildProcess& child) {
    siginfo_t verdict{};
    while (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd()), &verdict, WEXITED | WSTOPPED) == -1)
        if (errno != EINTR) throw_errno("wait for the trial of a program");
    return verdict;
}

bool is_shortage(int error) noexcept {
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == ETXTBSY;
}

std::string_view reason_behind(int error) noexcept {
    switch (error) {
        case ENOENT: return ": the interpreter in its first line, or its loader, is missing";
        case ENOEXEC: return ": a script needs #! and its interpreter in its first line";
        case EACCES:
            return ": --user or run-user=, or the user that preforkd runs as, may not execute it or what interprets "
                   "it; with "
                   "--sandbox strict, --allow-read has to name its interpreter";
        default: return "";
    }
}

}  // namespace

void try_program(const std::string& file, const std::vector<std::string>& words, const Settings& settings,
                 const Identity& identity, const Sandbox& sandbox, const ProcessChange* change) {
    const auto refuse = [&](const std::string& sentence) {
        throw OperatorError{ExitCode::Configuration, printable(words.front()) + ": " + sentence};
    };
    const ChildProcess child = spawn([&] { return execute(file, words, settings, identity, sandbox, change); });
    const siginfo_t verdict = wait_for_verdict(child);
    switch (verdict.si_code) {
        case CLD_EXITED:
            if (verdict.si_status == no_trial || is_shortage(verdict.si_status)) return;
            refuse(std::strerror(verdict.si_status) + std::string{reason_behind(verdict.si_status)});
            return;
        case CLD_KILLED:
        case CLD_DUMPED:
            if (verdict.si_status == SIGSYS) return;  // how seccomp may forbid to trace
            refuse("it is broken: the kernel ended it with SIG" + std::string{::sigabbrev_np(verdict.si_status)} +
                   " before its first instruction" +
                   (change == nullptr ? "" : "; or one of its limits, limit-*=, is too low for it"));
            return;
        default:  // stopped, or trapped: it could be started
            child.signal(SIGKILL);
            (void)wait_for_verdict(child);
    }
}

void try_change(const ProcessChange& change, const Settings& settings, const Identity& identity) {
    const StartedFork trial = fork_program([&](int&) {
        try {
            take_place_of_worker(settings, identity);
        } catch (const std::exception&) { ::_exit(0); }  // a worker will tell
        change.make();
        ::_exit(0);
    });
    ::waitpid(trial.child.pid(), nullptr, 0);
    if (!trial.failure || is_shortage(trial.failure->error)) return;
    const auto& [error, attempt] = *trial.failure;
    const std::string sentence = printable(attempt) + ": " + std::strerror(error);
    if (error != EPERM) throw OperatorError{ExitCode::Configuration, sentence};
    throw OperatorError{ExitCode::Permission,
                        fmt::format("{}; it takes root with {}, and no --user: under systemd, services-as-users.conf",
                                    sentence, capabilities_for(attempt))};
}

}  // namespace preforkd
