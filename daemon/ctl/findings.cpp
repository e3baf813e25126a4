#include "daemon/ctl/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>
#include <string_view>
#include <utility>

#include "common/base/counted.hpp"
#include "common/base/shortage.hpp"
#include "daemon/ctl/figures.hpp"
#include "daemon/ctl/listener_findings.hpp"
#include "daemon/ctl/queue_findings.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

/// Longer than a worker takes to start, or a handler that others wait for to run.
constexpr auto long_start = 5s;
constexpr auto long_run = 10s;
constexpr double whole_processor = 0.95;

std::string_view phase_text(std::string_view phase) {
    if (phase == "withdrawing") return "it stops: it serves on for --drain-delay, and wants no more clients";
    if (phase == "draining") return "it stops: workers finish what they serve, for --stop-timeout at most";
    return "it stops: what has not ended is being killed";
}

void add_stop(const StatusReport& now, std::vector<Finding>& findings) {
    if (now.phase == "running" || now.phase == "starting") return;
    findings.push_back({.harm = Harm::Down,
                        .amount = now.connections,
                        .limit = fmt::format("the daemon is {}: {}; {} open", now.phase, phase_text(now.phase),
                                             counted(now.connections, "connection")),
                        .remedy = "start it again to serve"});
}

/// What keeps workers from being there, as far as the counts tell.
std::string why_workers_lack(const StatusReport& now, std::uint64_t starting) {
    if (starting > 0) return "--boot-timeout ends one that never becomes ready; the log says what it does";
    if (std::ranges::any_of(now.counts.deaths, [](std::uint64_t died) { return died > 0; }))
        return "one that died early is started again after a pause: the log says what it died of";
    return fmt::format("none has died: where the kernel starts none the log says so; {}", what_helps_against(EAGAIN));
}

/// Workers that lack, and those that are there without serving.
void add_pool(const StatusReport& now, std::vector<Finding>& findings) {
    std::uint64_t starting = 0;
    std::chrono::milliseconds longest{};
    for (const WorkerStatus& each : now.workers) {
        if (each.state != "starting") continue;
        ++starting;
        longest = std::max(longest, each.age);
    }
    const std::uint64_t ready = ready_workers(now);
    const auto wanted = static_cast<std::uint64_t>(std::max(now.workers_wanted, 0));
    const bool begins = now.phase == "starting";
    if ((now.phase != "running" && !begins) || ready >= wanted) return;
    if (!begins && ready > 0 && starting > 0 && longest < long_start) return;
    const std::string starts =
        starting == 0 ? "none is starting" : fmt::format("{} starting, for {}", starting, age_text(longest));
    findings.push_back({.harm = ready == 0 ? Harm::Down : Harm::Risk,
                        .amount = wanted - ready,
                        .limit = (begins ? "the daemon is starting: " : "") +
                                 (ready == 0 ? fmt::format("no worker serves of the {} wanted: {}", wanted, starts)
                                             : fmt::format("only {} of {} {}: {}", ready, counted(wanted, "worker"),
                                                           ready == 1 ? "serves" : "serve", starts)),
                        .remedy = why_workers_lack(now, starting)});
}

void add_worker(const StatusReport& report, const WorkerStatus& worker, std::vector<Finding>& findings) {
    const std::string name = fmt::format("worker {} (pid {})", worker.number, worker.pid);
    const std::uint64_t others = growth(worker.connections, 1);
    if (worker.state == "hung")
        return findings.push_back(
            {.harm = Harm::Wait,
             .amount = worker.connections,
             .limit = name + " hangs in its handler, and is being ended after --worker-timeout",
             .remedy = "its stack is in the log; if it may take so long, raise --worker-timeout"});
    if (worker.state == "stopped")
        return findings.push_back({.harm = Harm::Wait,
                                   .amount = worker.connections,
                                   .limit = fmt::format("{} was stopped by a signal", name),
                                   .remedy = fmt::format("kill -CONT {} has it go on", worker.pid)});
    if (worker.state != "busy" || worker.since < long_run) return;
    const bool keeps_others = report.model == "async" && others > 0;
    std::string limit = fmt::format("{} has been in its handler for {} without a wait", name, age_text(worker.since));
    if (keeps_others) limit += fmt::format(", while {} in it", those_that(others, "other client", "wait"));
    findings.push_back({.harm = keeps_others ? Harm::Wait : Harm::Risk,
                        .amount = others,
                        .limit = std::move(limit),
                        .remedy = keeps_others ? "have a handler that blocks run with --model thread"
                                               : "--worker-timeout says from when on it counts as hung"});
}

void add_processors(const Looks& looks, std::vector<Finding>& findings) {
    const double all = processors_of_all(looks);
    const int allowed = looks.now.processors;
    if (allowed > 0 && all >= whole_processor * allowed) {
        const std::string limit =
            fmt::format("workers have used {:.2f} of the {} that they may, {}", all,
                        counted(static_cast<std::uint64_t>(allowed), "processor"), within_text(looks));
        return findings.push_back(
            {.harm = Harm::Wait, .amount = looks.now.connections, .limit = limit, .remedy = remedy_for_processors});
    }
    if (looks.now.model != "async") return;
    for (const WorkerStatus& each : looks.now.workers) {
        const double used = processors_of(each, looks);
        if (used < whole_processor || each.connections < 2) continue;
        findings.push_back(
            {.harm = Harm::Wait,
             .amount = each.connections,
             .limit = fmt::format(
                 "worker {} (pid {}) has used {:.0f} % of a processor {}, all that its one thread can: "
                 "its {} wait for each other",
                 each.number, each.pid, 100 * used, within_text(looks), counted(each.connections, "client")),
             .remedy = "raise --workers, or have handlers do less"});
    }
}

/// Workers pause when they run out of something, and clients wait.
void add_accept_errors(const Looks& looks, std::vector<Finding>& findings) {
    constexpr std::array shortages{std::pair{"EMFILE", EMFILE}, std::pair{"ENFILE", ENFILE},
                                   std::pair{"ENOBUFS", ENOBUFS}, std::pair{"ENOMEM", ENOMEM}};
    const ServiceCounts counts = change_of_counts(looks);
    for (const auto& [name, error] : shortages) {
        const auto found = counts.accept_errors.find(name);
        if (found == counts.accept_errors.end() || found->second == 0) continue;
        findings.push_back({.harm = Harm::Wait,
                            .amount = found->second,
                            .limit = fmt::format("accept(2) failed {} {}: {}; workers pause, and clients wait",
                                                 counted(found->second, "time"), within_text(looks), name),
                            .remedy = std::string{what_helps_against(error)}});
    }
}

void add_deaths(const Looks& looks, std::vector<Finding>& findings) {
    const ServiceCounts counts = change_of_counts(looks);
    std::array<std::uint64_t, death_causes> unwanted{};
    for (const DeathCause cause :
         {DeathCause::Exit, DeathCause::Signal, DeathCause::OutOfMemory, DeathCause::Hang, DeathCause::Boot})
        unwanted[static_cast<std::size_t>(cause)] = counts.deaths[static_cast<std::size_t>(cause)];
    const std::uint64_t died = std::accumulate(unwanted.begin(), unwanted.end(), std::uint64_t{0});
    if (died == 0) return;
    findings.push_back({.harm = Harm::Loss,
                        .amount = died,
                        .limit = fmt::format("{} died {}: {}", counted(died, "worker"), within_text(looks),
                                             named_text(death_cause_names, unwanted)),
                        .remedy = "what each died of is told below"});
}

/// What ran before runs on; a reload is told of until one succeeds.
void add_failed_attempts(const Looks& looks, std::vector<Finding>& findings) {
    if (const std::string& failure = looks.now.reload_failure; !failure.empty())
        findings.push_back(
            {.harm = Harm::Risk,
             .amount = 1,
             .limit = fmt::format("the last reload failed, and the settings of before it are in force: {}", failure),
             .remedy = "mend that, then preforkctl reload"});
    const ServiceCounts counts = change_of_counts(looks);
    for (const auto& [what, attempts] : {std::pair{"reload", counts.reloads}, std::pair{"upgrade", counts.upgrades}})
        if (attempts.failed > 0 && (looks.now.reload_failure.empty() || what != std::string_view{"reload"}))
            findings.push_back({.harm = Harm::Risk,
                                .amount = attempts.failed,
                                .limit = fmt::format("{} failed {}: what ran before ran on",
                                                     counted(attempts.failed, what), within_text(looks)),
                                .remedy = "the log says what was wrong"});
}

/// `60 of the 64 connections that workers may have are open`.
std::string slots_text(const StatusReport& now) {
    const std::uint64_t slots = now.connection_slots;
    if (slots == 1) return "the only connection that the workers may have is open";
    if (now.connections == slots) return fmt::format("all {} connections that the workers may have are open", slots);
    return fmt::format("{} of the {} connections that the workers may have {} open", now.connections, slots,
                       now.connections == 1 ? "is" : "are");
}

/// Also those of before: what the log does not tell is told nowhere else.
void add_dropped_lines(const Looks& looks, std::vector<Finding>& findings) {
    const std::uint64_t all = looks.now.dropped_log_lines;
    if (all == 0) return;
    const std::uint64_t lines = growth(all, looks.before.dropped_log_lines);
    findings.push_back(
        {.harm = Harm::Risk,
         .amount = lines,
         .limit = lines > 0
                      ? fmt::format("{} {} dropped {}, of {} since the daemon was started", counted(lines, "log line"),
                                    lines == 1 ? "was" : "were", within_text(looks), all)
                      : fmt::format("{} {} dropped since the daemon was started, none of them {}: the log does "
                                    "not tell all",
                                    counted(all, "log line"), all == 1 ? "was" : "were", within_text(looks)),
         .remedy = lines > 0 ? "whatever reads the log (--log-file, the journal) is full or too slow"
                             : "whatever reads the log (--log-file, the journal) was full or too slow"});
}

void add_service(const Looks& looks, std::vector<Finding>& findings) {
    const StatusReport& now = looks.now;
    if (now.key_process && now.key_process->pid == 0)
        findings.push_back({.harm = Harm::Down,
                            .amount = 1,
                            .limit = "TLS handshakes fail: no process has the private keys (key-process=yes)",
                            .remedy = "one is started again; the log says what it died of"});
    if (const std::uint64_t slots = now.connection_slots;
        slots > 0 && now.workers_wanted >= now.workers_max && now.connections * 10 >= slots * 9)
        findings.push_back({.harm = Harm::Risk,
                            .amount = now.connections,
                            .limit = slots_text(now) + "; further clients wait",
                            .remedy = remedy_for_full_workers(now)});
    add_dropped_lines(looks, findings);
    add_failed_attempts(looks, findings);
}

}  // namespace

std::vector<Finding> findings_of(const Looks& looks, std::chrono::sys_seconds now) {
    std::vector<Finding> findings;
    add_stop(looks.now, findings);
    add_pool(looks.now, findings);
    for (const ListenerStatus& each : looks.now.listeners) add_listener_findings(looks, each, now, findings);
    for (const WorkerStatus& each : looks.now.workers) add_worker(looks.now, each, findings);
    add_processors(looks, findings);
    add_accept_errors(looks, findings);
    add_deaths(looks, findings);
    add_service(looks, findings);
    std::ranges::stable_sort(findings, [](const Finding& one, const Finding& other) {
        return one.harm != other.harm ? one.harm < other.harm : one.amount > other.amount;
    });
    return findings;
}

bool limits_now(const std::vector<Finding>& findings) noexcept {
    return std::ranges::any_of(findings, [](const Finding& each) { return each.harm != Harm::Risk; });
}

std::string sentence_of(const Finding& finding) {
    const std::string subject = finding.listener.empty() ? "" : fmt::format("listener {}: ", finding.listener);
    return fmt::format("{}{}; {}", subject, finding.limit, finding.remedy);
}

std::string unlimited_text(const Looks& looks) {
    const StatusReport& now = looks.now;
    const std::string ready =
        fmt::format("{} of {} ready", ready_workers(now),
                    counted(static_cast<std::uint64_t>(std::max(now.workers_wanted, 0)), "worker"));
    const auto busy = static_cast<std::uint64_t>(std::ranges::count(now.workers, "busy", &WorkerStatus::state));
    std::string text =
        counts_clients(now)
            ? fmt::format("nothing limits this service now: {} accepted {}, {} of {} open, {}, {} busy",
                          counted(growth(now.accepted, looks.before.accepted), "connection"), within_text(looks),
                          now.connections, now.connection_slots, ready, busy)
            : fmt::format("nothing limits this service now, as far as queues and workers tell: {}", ready);
    if (now.processors > 0)
        text += fmt::format(", {:.2f} of {} used", processors_of_all(looks),
                            counted(static_cast<std::uint64_t>(now.processors), "processor"));
    return text;
}

}  // namespace preforkd
