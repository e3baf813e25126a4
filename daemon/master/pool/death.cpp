#include "daemon/master/pool/death.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "common/base/quoted.hpp"
#include "common/log/log_fields.hpp"
#include "common/log/log_sink.hpp"
#include "common/net/socket_address.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

using std::chrono::milliseconds;
constexpr auto relaxed = std::memory_order_relaxed;

/// Signals that a process brings upon itself.
bool is_crash(int signo) {
    for (const int own : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS})
        if (signo == own) return true;
    return false;
}

/// What the worker's last words are (stack_report.hpp) when it did not bring the signal upon itself.
bool was_sent_by_another(const WorkerRecord& record) {
    const std::string words = record.last_error.read();
    return words.starts_with("worker ") && words.find(" crashed: SIG") != words.npos &&
           words.find(", sent by process ") != words.npos;
}

std::string now_in_utc() {
    const auto now = std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
    const auto part = now.time_since_epoch() % std::chrono::seconds{1};
    return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)), part.count());
}

/// A copy of a program accepts by itself, and tells nobody.
std::optional<std::uint64_t> served_by(const WorkerRecord& record) {
    if (record.program_pid.load(relaxed) != 0) return std::nullopt;
    return record.served.load(relaxed);
}

milliseconds duration_of(const timeval& time) { return milliseconds{time.tv_sec * 1000 + time.tv_usec / 1000}; }

ResourceUse use_of(const rusage& used) {
    constexpr std::uint64_t kibibyte = 1024;
    return {.user = duration_of(used.ru_utime),
            .system = duration_of(used.ru_stime),
            .max_rss_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * kibibyte,
            .major_faults = static_cast<std::uint64_t>(used.ru_majflt),
            .voluntary_switches = static_cast<std::uint64_t>(used.ru_nvcsw),
            .involuntary_switches = static_cast<std::uint64_t>(used.ru_nivcsw)};
}

}  // namespace

std::string ordered_by(const Death& death, const WorkerRecord& record) {
    const bool killed = death.report.kind != ExitReport::Kind::Exited;
    if (death.out_of_memory) return ordered_by_kernel;
    if (killed && is_crash(death.report.value) && death.order != DeathOrder::Hang)
        return was_sent_by_another(record) ? ordered_by_another : ordered_by_nobody;
    if (!killed && death.report.value != 0) return ordered_by_nobody;  // whatever it was told, it failed by itself
    // It has a reason of its own to ask for a replacement, or a signal has told it to leave.
    const bool is_told =
        death.order == DeathOrder::Recycle && record.retirement.load(relaxed) == RetirementReason::Unknown;
    if (death.order != DeathOrder::None && !is_told) return name_of(death.order);
    if (!killed && record.program_pid.load(relaxed) != 0 && !is_told) return ordered_by_nobody;
    // A worker leaves in good order only when it is told to, be it by a signal of somebody else; a copy whenever it
    // likes.
    return ordered_by_another;
}

DeathCause cause_of(const Death& death, const WorkerRecord& record) {
    const bool exited = death.report.kind == ExitReport::Kind::Exited;
    const bool by_itself = exited ? death.report.value != 0 : is_crash(death.report.value);
    if (death.out_of_memory) return DeathCause::OutOfMemory;
    if (!death.was_ready && (death.order == DeathOrder::None || death.order == DeathOrder::BootTimeout))
        return DeathCause::Boot;
    switch (death.order) {
        case DeathOrder::Hang:
        case DeathOrder::Lifeless: return DeathCause::Hang;
        case DeathOrder::BootTimeout: return DeathCause::Boot;
        case DeathOrder::None: return exited ? DeathCause::Exit : DeathCause::Signal;
        case DeathOrder::Recycle:
            if (by_itself) break;
            switch (record.retirement.load(relaxed)) {
                case RetirementReason::MaxRequests: return DeathCause::MaxRequests;
                case RetirementReason::MaxMemory: return DeathCause::MaxMemory;
                case RetirementReason::Unknown: break;
            }
            return DeathCause::Ordered;
        case DeathOrder::Stop:
        case DeathOrder::Resize:
        case DeathOrder::Reload:
        case DeathOrder::Rebind:
        case DeathOrder::Upgrade:
        case DeathOrder::StopTimeout:
        case DeathOrder::OutOfTurn: break;
    }
    if (!by_itself) return DeathCause::Ordered;
    return exited ? DeathCause::Exit : DeathCause::Signal;  // whatever it was told, it failed by itself
}

milliseconds processor_time_of(const Death& death) {
    return duration_of(death.used.ru_utime) + duration_of(death.used.ru_stime);
}

std::string last_peer_of(const WorkerRecord& record) {
    const std::string bytes = record.last_peer.read();
    if (bytes.size() < sizeof(sa_family_t)) return {};
    try {
        const SocketAddress address{reinterpret_cast<const sockaddr*>(bytes.data()),
                                    static_cast<socklen_t>(bytes.size())};
        const Endpoint peer = address.to_endpoint(SOCK_STREAM);
        const bool unnamed = peer.transport == Transport::Unix && peer.path.empty();
        return unnamed ? std::string{} : printable(address_of(peer));
    } catch (const std::invalid_argument&) { return {}; }  // read while it was being written
}

std::uint64_t connections_cut(const Death& death, const WorkerRecord& record) {
    const std::uint64_t when_told = record.cut.load(std::memory_order_relaxed);
    switch (death.order) {
        case DeathOrder::None:
        case DeathOrder::Hang:  // these have lines of their own, of level error
        case DeathOrder::Lifeless:
        case DeathOrder::BootTimeout:
        case DeathOrder::OutOfTurn: return 0;
        case DeathOrder::Stop:
        case DeathOrder::Recycle:
        case DeathOrder::Resize:
        case DeathOrder::Reload:
        case DeathOrder::Rebind:
        case DeathOrder::Upgrade:
        case DeathOrder::StopTimeout: break;
    }
    if (death.report.kind == ExitReport::Kind::Exited) return when_told;
    return std::max(when_told, record.active.load(std::memory_order_relaxed));  // it was in no state to be told
}

DeathReport report_on(const Death& death, const WorkerRecord& record) {
    return {.time = now_in_utc(),
            .number = death.number,
            .pid = death.pid,
            .generation = static_cast<std::uint64_t>(death.generation),
            .cause = describe(death.report),
            .ordered_by = ordered_by(death, record),
            .expected = death.expected && death.in_good_order(),
            .out_of_memory = death.out_of_memory,
            .age = death.age,
            .served = served_by(record),
            .last_peer = last_peer_of(record),
            .last_error = printable(record.last_error.read()),
            .used = use_of(death.used)};
}

void log_death(const DeathReport& death) {
    std::vector<LogField> fields{{"worker_number", std::int64_t{death.number}},
                                 {"worker_pid", std::int64_t{death.pid}},
                                 {"cause", death.cause},
                                 {"ordered_by", death.ordered_by},
                                 {"out_of_memory", death.out_of_memory ? "yes" : "no"},
                                 {"age_seconds", static_cast<double>(death.age.count()) / 1000},
                                 {"last_peer", death.last_peer},
                                 {"user_seconds", static_cast<double>(death.used.user.count()) / 1000},
                                 {"system_seconds", static_cast<double>(death.used.system.count()) / 1000},
                                 {"max_rss_bytes", death.used.max_rss_bytes}};
    if (death.served) fields.push_back({"served", *death.served});
    log_fields(death.expected ? LogLevel::Info : LogLevel::Warning,
               !death.served ? "worker {worker_number} (pid {worker_pid}) {cause} after {age_seconds} s; ordered: "
                               "{ordered_by}"
               : death.last_peer.empty()
                   ? "worker {worker_number} (pid {worker_pid}) {cause} after {age_seconds} s, requests "
                     "served: {served}; ordered: {ordered_by}"
                   : "worker {worker_number} (pid {worker_pid}) {cause} after {age_seconds} s, requests "
                     "served: {served}, the last for {last_peer}; ordered: {ordered_by}",
               fields);
}

void log_lost_lines(const Death& death, const WorkerRecord& record) {
    const std::uint64_t lines = record.untold_log_lines.count.load(std::memory_order_relaxed);
    if (lines == 0) return;
    log(LogLevel::Warning, "{lines} log lines of worker {worker_number} (pid {worker_pid}) were dropped: {cause}",
        {{"lines", lines},
         {"worker_number", std::int64_t{death.number}},
         {"worker_pid", std::int64_t{death.pid}},
         {"cause", why_dropped(record.untold_log_lines.error.load(std::memory_order_relaxed))}});
}

}  // namespace preforkd
