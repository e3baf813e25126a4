#include "daemon/ctl/queue_findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "daemon/ctl/figures.hpp"
#include "daemon/master/pool/queue_policy.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

/// What a service that is not at its limit makes one in a hundred wait.
constexpr std::chrono::nanoseconds long_wait = 100ms;
/// Half a queue is what the alerts warn of, too (packaging/prometheus).
constexpr std::uint64_t worrying_part = 2;

bool serves_program(const ListenerStatus& listener) { return listener.counts && !listener.counts_traffic; }

bool is_short_of_files(const StatusReport& report) { return report.connection_slots_asked > report.connection_slots; }

/// Of one worker.
std::uint64_t each_of(std::uint64_t slots, const StatusReport& report) {
    return report.workers_wanted > 0 ? slots / static_cast<unsigned>(report.workers_wanted) : slots;
}

/// Of the workers that serve a listener.
struct Pool {
    bool is_own = false;  ///< they serve it alone (workers=)
    std::uint64_t ready = 0;
    std::uint64_t full = 0;  ///< with all connections that they may have
    std::uint64_t busy = 0;
    std::uint64_t each = 1;  ///< connections that one may have
};

bool has_own_workers(const StatusReport& report, const ListenerStatus& listener) {
    return std::ranges::find(report.workers, listener.endpoint, &WorkerStatus::service) != report.workers.end();
}

Pool pool_of(const StatusReport& report, const ListenerStatus& listener) {
    Pool pool{.is_own = has_own_workers(report, listener)};
    for (const WorkerStatus& each : report.workers) {
        if (!is_ready(each) || each.service != (pool.is_own ? listener.endpoint : "")) continue;
        ++pool.ready;
        pool.each =
            std::max<std::uint64_t>(each.connection_slots.value_or(each_of(report.connection_slots, report)), 1);
        if (each.connections >= pool.each) ++pool.full;
        if (each.state == "busy") ++pool.busy;
    }
    return pool;
}

std::string more_workers(const StatusReport& report, const ListenerStatus& listener) {
    return has_own_workers(report, listener) ? "raise its workers=" : "raise --workers";
}

/// `all 8 workers`, `the only worker`.
std::string all_workers(std::uint64_t count) {
    return count == 1 ? "the only worker" : fmt::format("all {} workers", count);
}

std::string why_busy(const Pool& pool) {
    return fmt::format("{} {} busy in handlers", all_workers(pool.ready), pool.ready == 1 ? "is" : "are");
}

/// One each: who it is that the workers wait for.
std::string why_occupied(const Pool& pool, const ListenerStatus& listener) {
    const bool one = pool.ready == 1;
    if (serves_program(listener))
        return one ? "the only worker has a client, whose program runs"
                   : fmt::format("{} have a client, whose programs run", all_workers(pool.ready));
    if (pool.busy == pool.ready) return why_busy(pool);
    // It may send nothing, or take nothing of what it is sent.
    if (one) return "the only worker waits for the client that it serves";
    return fmt::format("{} have a client, and wait for {} of these", all_workers(pool.ready), pool.ready - pool.busy);
}

std::string why_full(const Pool& pool, const StatusReport& report, const ListenerStatus& listener) {
    const std::string who = fmt::format("{} {}", all_workers(pool.ready), pool.ready == 1 ? "has" : "have each");
    if (is_short_of_files(report) && !pool.is_own)
        return fmt::format("{} the {} that open files allow (RLIMIT_NOFILE), of the {} that --connections asks for",
                           who, counted(pool.each, "connection"), each_of(report.connection_slots_asked, report));
    if (pool.each > 1)
        return fmt::format("{} the {} connections that {} allows", who, pool.each,
                           pool.is_own ? "connections= of the listener" : "--connections");
    return why_occupied(pool, listener);
}

WaitReason reason_in_pool(const Looks& looks, const ListenerStatus& listener) {
    const StatusReport& now = looks.now;
    const Pool pool = pool_of(now, listener);
    if (pool.ready == 0) return {.because = "no worker serves", .remedy = "the log says why"};
    if (pool.full == pool.ready) {
        const std::string why = why_full(pool, now, listener);
        if (pool.is_own) return {.because = why, .remedy = std::string{what_helps_service(pool.each)}};
        if (now.workers_wanted < now.workers_max)
            return {.because = why,
                    .remedy = fmt::format("the pool grows, up to the {} that --workers allows", now.workers_max)};
        WaitReason reason{.because = why, .remedy = remedy_for_full_workers(now, serves_program(listener))};
        // Programs keep their own time.
        if (pool.busy < pool.ready && !serves_program(listener)) reason.remedy += ", or lower --idle-timeout";
        return reason;
    }
    if (pool.busy == pool.ready && now.model == "async")
        return {.because = why_busy(pool),
                .remedy = more_workers(now, listener) + ", or have a handler that blocks run with --model thread"};
    if (const double used = processors_of_all(looks); now.processors > 0 && used >= 0.9 * now.processors)
        return {.because = fmt::format("workers use {:.2f} of the {} that they may", used,
                                       counted(static_cast<std::uint64_t>(now.processors), "processor")),
                .remedy = remedy_for_processors};
    if (!counts_clients(now))
        return {.because = "its program does not accept them faster", .remedy = more_workers(now, listener)};
    return {};
}

/// `37 clients wait in its queue of 511, the first of them for more than 1.0 s`.
std::string waiting_text(const Looks& looks, const QueueDepth& queue, bool first_is_old) {
    const std::uint64_t queued = queue.queued.value_or(0);
    std::string text = those_that(queued, "client", "wait") + " in its queue";
    if (queue.limit) text += fmt::format(" of {}", *queue.limit);
    if (first_is_old)
        text += fmt::format("{} for more than {:.1f} s", queued == 1 ? "" : ", the first of them",
                            static_cast<double>(looks.between.count()) / 1000);
    return text;
}

void add_waiting(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    const ListenerChange change = change_of(listener, looks);
    const QueueDepth& queue = listener.queue;
    const std::uint64_t queued = queue.queued.value_or(0);
    // Queues are served in turn: one of those that waited still waits while fewer have been accepted since.
    const bool is_counted = counts_clients(looks.now) && !listener.program;
    const bool first_is_old = is_counted && queued > 0 && change.counts.accepted < change.queued_before;
    const bool half_full = queue.limit && *queue.limit > 0 && queued * worrying_part >= *queue.limit;
    const HistogramCounts& wait = change.counts.accept_wait;
    const bool slow = bound_of(wait, 0.99) > long_wait;
    if (!slow && !first_is_old && !half_full) return;

    Finding finding{.harm = Harm::Wait, .amount = std::max<std::uint64_t>(queued, 1), .listener = listener.endpoint};
    const WaitReason reason = why_clients_wait(looks, listener);
    if (queued > 0) {
        finding.limit = waiting_text(looks, queue, first_is_old);
        finding.limit +=
            reason.because.empty() ? ", although workers have capacity now" : ", because " + reason.because;
    }
    if (const std::uint64_t timed = wait.count(); timed > 0)
        finding.limit += fmt::format("{} accepted {} {} {} timed: up to {} in the queue",
                                     queued > 0 ? "; of those" : "of the clients", within_text(looks), timed,
                                     timed == 1 ? "was" : "were", bound_text(bound_of(wait, 1)));
    if (queued == 0)
        finding.limit +=
            reason.because.empty() ? "; now nobody waits, and workers have capacity" : "; " + reason.because;
    finding.remedy = reason.remedy.empty() ? more_workers(looks.now, listener) + " if it goes on" : reason.remedy;
    findings.push_back(std::move(finding));
}

void add_dropped(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    const std::uint64_t dropped = change_of(listener, looks).dropped;
    if (dropped == 0) return;
    const bool datagrams = listener.queue.in_bytes;
    const std::string_view what = datagrams ? "datagram" : "attempt";
    const std::string_view full = datagrams ? "its buffer" : "its queue";
    const std::string_view does = datagrams ? "" : " to connect";
    const std::string_view option = datagrams ? "rcvbuf= of the listener" : "--backlog (and net.core.somaxconn)";
    const WaitReason reason = why_clients_wait(looks, listener);
    std::string limit = fmt::format("{}{} {} turned away {}: {}", counted(dropped, what), does,
                                    dropped == 1 ? "was" : "were", within_text(looks), full);
    if (const auto& size = listener.queue.limit)
        limit += datagrams ? fmt::format(" of {} bytes", *size) : fmt::format(" of {}", *size);
    limit += " was full";
    if (!reason.because.empty()) limit += ", because " + reason.because;
    findings.push_back(
        {.harm = Harm::Loss,
         .amount = dropped,
         .listener = listener.endpoint,
         .limit = std::move(limit),
         .remedy = fmt::format("{}; or raise {}",
                               reason.remedy.empty() ? more_workers(looks.now, listener) : reason.remedy, option)});
}

void add_full_buffer(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    const QueueDepth& queue = listener.queue;
    if (!queue.queued || !queue.limit || *queue.limit == 0 || *queue.queued * worrying_part < *queue.limit) return;
    const WaitReason reason = why_clients_wait(looks, listener);
    findings.push_back(
        {.harm = Harm::Wait,
         .amount = 1,
         .listener = listener.endpoint,
         .limit = fmt::format("datagrams fill {} of the {} of its buffer{}", size_text(*queue.queued),
                              size_text(*queue.limit), reason.because.empty() ? "" : ", because " + reason.because),
         .remedy = reason.remedy.empty() ? more_workers(looks.now, listener) + " or rcvbuf= of the listener"
                                         : reason.remedy});
}

/// What leaves whom it was started for is started less and less often.
void add_pausing_program(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    if (!listener.program || listener.program->pause.count() == 0) return;
    const std::uint64_t starts = change_of(listener, looks).program_starts;
    findings.push_back(
        {.harm = Harm::Wait,
         .amount = std::max<std::uint64_t>(listener.queue.in_bytes ? 1 : listener.queue.queued.value_or(1), 1),
         .listener = listener.endpoint,
         .limit = fmt::format("its program {} has ended at once and left what it was started for: it is started again "
                              "after a pause, now {}; {} {}, {} ever",
                              listener.handler, to_string(listener.program->pause), counted(starts, "start"),
                              within_text(looks), listener.program->starts),
         .remedy =
             listener.queue.in_bytes
                 ? "with inetd=wait it has to receive the datagram, and to go on for others: see what it says"
                 : "with inetd=wait it has to accept(2) its clients itself: see what it says; inetd=nowait starts "
                   "one for each client"});
}

}  // namespace

std::string remedy_for_full_workers(const StatusReport& report, bool program) {
    Model serving = Model::Async;
    for (const Model model : {Model::Serial, Model::Thread, Model::Fork})
        if (to_string(model) == report.model) serving = model;
    return std::string{what_helps(serving, program, is_short_of_files(report))};
}

std::string remedy_for_full_workers(const StatusReport& report) {
    return remedy_for_full_workers(report, std::ranges::any_of(report.listeners, serves_program));
}

std::string within_text(const Looks& looks) {
    return fmt::format("within {:.1f} s", static_cast<double>(looks.between.count()) / 1000);
}

std::string those_that(std::uint64_t count, std::string_view what, std::string_view does) {
    return fmt::format("{} {}{}", counted(count, what), does, count == 1 ? "s" : "");
}

WaitReason why_clients_wait(const Looks& looks, const ListenerStatus& listener) {
    if (const auto& limits = listener.limits; limits && limits->max && limits->clients.value_or(0) >= *limits->max)
        return {.because = fmt::format("it has all {} that its max= allows", counted(*limits->max, "client")),
                .remedy = "raise max= of the listener"};
    // It accepts by itself, and alone: workers have no part in that.
    if (listener.program)
        return {.because = "its program, which has the socket (inetd=wait), takes no more of them",
                .remedy = "see what that does; inetd=nowait starts one for each client"};
    return reason_in_pool(looks, listener);
}

void add_queue_findings(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    add_dropped(looks, listener, findings);
    add_pausing_program(looks, listener, findings);
    if (listener.queue.in_bytes)
        add_full_buffer(looks, listener, findings);
    else
        add_waiting(looks, listener, findings);
}

}  // namespace preforkd
