#include "daemon/ctl/listener_findings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "common/base/counted.hpp"
#include "daemon/ctl/date_text.hpp"
#include "daemon/ctl/figures.hpp"
#include "daemon/ctl/queue_findings.hpp"

namespace preforkd {
namespace {

/// The alerts warn as early (packaging/prometheus).
constexpr std::chrono::days certificate_warning{14};
/// Fewer connections than one in so many fail in any service: clients go away.
constexpr std::uint64_t usual_failures = 20;

/// `3 by deny=, 2 by per-source=`.
std::string refused_text(const RefusedClients& refused) {
    std::vector<std::string> parts;
    for (const auto& [count, key] : {std::pair{refused.denied, "allow= and deny="},
                                     std::pair{refused.per_source, "per-source="}, std::pair{refused.rate, "rate="}})
        if (count != 0) parts.push_back(fmt::format("{} by {}", count, key));
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::uint64_t count_of(const RefusedClients& refused) { return refused.denied + refused.per_source + refused.rate; }

void add_refused(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    const RefusedClients refused = change_of(listener, looks).refused;
    const std::uint64_t count = count_of(refused);
    if (count == 0) return;
    // A limit that does what it is there for is no harm: who is welcome, only an operator knows.
    findings.push_back({.harm = Harm::Risk,
                        .amount = count,
                        .listener = listener.endpoint,
                        .limit = fmt::format("{} {} refused {}: {}", counted(count, "client"),
                                             count == 1 ? "was" : "were", within_text(looks), refused_text(refused)),
                        .remedy = refused.per_source + refused.rate > 0
                                      ? "preforkctl sources tells which; raise what refused them if they are welcome"
                                      : "change allow= or deny= of the listener if they are welcome"});
}

std::uint64_t closed(const ListenerCounts& counts, ConnectionOutcome outcome) {
    return counts.closed[static_cast<std::size_t>(outcome)];
}

/// Clients that break off are none that the service turns away; handlers and programs that fail do that.
Harm blamed_for_errors(const Looks& looks, const ListenerStatus& listener) {
    if (!listener.counts_traffic) return Harm::Loss;
    const auto has_failed = [&](const WorkerStatus& worker) {
        const WorkerStatus* const before = find_before(worker, looks);
        return !worker.last_error.empty() && (before == nullptr || before->last_error != worker.last_error);
    };
    return std::ranges::any_of(looks.now.workers, has_failed) ? Harm::Loss : Harm::Risk;
}

void add_failures(const Looks& looks, const ListenerStatus& listener, std::vector<Finding>& findings) {
    struct Failure {
        ConnectionOutcome outcome;
        bool happens;  ///< in any service, if to few
        std::string_view what;
        std::string_view remedy;
        Harm harm = Harm::Loss;
    };
    const std::array failures{
        Failure{ConnectionOutcome::Error, true, "failed: the handler threw, the program failed or the client broke off",
                "what a handler threw is in the log; --log-connections end tells of each connection how it ended",
                blamed_for_errors(looks, listener)},
        Failure{ConnectionOutcome::RequestTimeout, false, "took longer than --request-timeout allows",
                "raise --request-timeout, or find out what takes so long"},
        Failure{ConnectionOutcome::Cut, false,
                "ended with a worker that died, or had to leave before they were finished",
                "raise --stop-timeout, for reloads --reload-timeout, if it was told to leave"},
        Failure{ConnectionOutcome::Handshake, true, "failed: no TLS was agreed on",
                "with --log-level debug the log says why of each; preforkctl send --verbose tries it", Harm::Risk}};
    const ListenerCounts counts = change_of(listener, looks).counts;
    std::uint64_t ended = 0;
    for (const std::uint64_t each : counts.closed) ended += each;
    for (const auto& [outcome, happens, what, remedy, harm] : failures) {
        const std::uint64_t failed = closed(counts, outcome);
        if (failed == 0 || (happens && failed * usual_failures < ended)) continue;
        findings.push_back({.harm = harm,
                            .amount = failed,
                            .listener = listener.endpoint,
                            .limit = fmt::format("{} of the {} that ended {} {}", failed, counted(ended, "connection"),
                                                 within_text(looks), what),
                            .remedy = std::string{remedy}});
    }
}

void add_certificate(const ListenerStatus& listener, std::chrono::sys_seconds now, std::vector<Finding>& findings) {
    if (!listener.certificate_expires_s) return;
    const std::chrono::sys_seconds end{std::chrono::seconds{*listener.certificate_expires_s}};
    if (end - now > certificate_warning) return;
    const bool expired = end <= now;
    findings.push_back(
        {.harm = expired ? Harm::Down : Harm::Risk,
         .amount = 1,
         .listener = listener.endpoint,
         .limit = expired ? fmt::format("a certificate has expired on {}, and clients refuse it", date_text(end))
                          : fmt::format("a certificate expires on {}, in {}", date_text(end), age_text(end - now)),
         .remedy = "renew it, then preforkctl reload"});
}

}  // namespace

void add_listener_findings(const Looks& looks, const ListenerStatus& listener, std::chrono::sys_seconds now,
                           std::vector<Finding>& findings) {
    if (listener.lost)
        findings.push_back({.harm = Harm::Down,
                            .amount = 1,
                            .listener = listener.endpoint,
                            .limit = "no client finds it: its socket file was removed or replaced",
                            .remedy = "it is bound again once nothing else has its path; the log says what has"});
    add_queue_findings(looks, listener, findings);
    add_refused(looks, listener, findings);
    add_failures(looks, listener, findings);
    add_certificate(listener, now, findings);
}

}  // namespace preforkd
