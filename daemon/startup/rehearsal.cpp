#include "daemon/startup/rehearsal.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/channel/channel.hpp"
#include "common/log/log_output.hpp"
#include "common/process/spawn.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/master/pool/handed_listeners.hpp"
#include "daemon/startup/generation_loading.hpp"

namespace preforkd {

namespace {

std::shared_ptr<GenerationPlan> restore_plan(const StartUp& start_up, const Handover& handover) {
    const Invocation invocation = read_daemon_options(start_up);
    (void)check_emptied_config(handover.config_text, invocation);
    std::shared_ptr<GenerationPlan> plan = plan_generation(invocation, start_up);
    open_log(plan->settings->log);    // whether it can be
    open_log({.file = "/dev/null"});  // what is worth a line is the verdict
    const SystemdNotify systemd;      // whether libsystemd is there, if it is needed
    const Scoreboard scoreboard{UniqueFd{handover.scoreboard}, handover.dead_workers};  // whether it can be read
    std::vector<Listener> listeners = from_handed(handover.listeners);
    (void)take_observed(listeners);
    refuse_other_way_of_running(*plan->settings, handover.runs_copies ? RunMode::Pool : RunMode::Client, listeners);
    Takeover taken = take_over_sockets(listeners, *plan->settings);
    take_listeners(*plan, std::move(taken.listeners));
    return plan;
}

/// After the exec the descriptors of the workers that are handed over are open twice, until the new image supervises;
/// then once, and beside them those of the next generation.  Throws OperatorError when the limit does not allow that.
void require_descriptors(const std::shared_ptr<GenerationPlan>& plan, bool has_keys, const Handover& handover) {
    // Its orders, its reports, and what it prints; and what it has signed.
    const std::size_t each = has_keys ? 5 : 3;
    constexpr std::size_t passing = 8;  // some at a time, such as the worker's end of a channel
    const auto size = static_cast<std::size_t>(handover.workers);
    const std::size_t handed = handover.workers_to_come != 0 ? handover.workers_to_come : size;
    const auto next = static_cast<std::size_t>(to_generation(plan).pool.workers);
    const std::size_t needed = each * (handed + std::max(handed, next)) + passing;
    const std::size_t spare = spare_descriptors(needed);
    if (spare < needed)
        throw OperatorError{
            ExitCode::System,
            fmt::format("an upgrade with {} workers needs {} more open files than the limit of {} allows{}", handed,
                        needed - spare, plan->descriptors.usable, shortage_remedy(EMFILE))};
}

/// It leaves by itself at the end of its channel, after its hooks; left running, it would be killed.
void let_leave(ChannelPair& channel, const ChildProcess& worker) {
    channel.master = {};
    constexpr int patience_ms = 2000;
    pollfd end{.fd = worker.pidfd(), .events = POLLIN, .revents = 0};
    ::poll(&end, 1, patience_ms);
}

/// Throws std::runtime_error with the reason if the worker does not become ready.
void boot_one_worker(const std::shared_ptr<GenerationPlan>& plan, std::size_t service) {
    ChannelPair channel = open_channel();
    WorkerRecord record;
    WorkerPlan worker = plan->worker(service);
    worker.rehearsal = true;
    const ChildProcess child = spawn([&] {
        return run_worker(
            worker,
            {.number = 1, .record = record, .channel = std::move(channel.worker), .output = open_output_pipe()});
    });
    channel.worker = {};
    std::string failure = "its first worker ended before it was ready";
    for (;;) {  // the image that waits for the verdict minds the time
        pollfd wanted{.fd = channel.master.reports.get(), .events = POLLIN, .revents = 0};
        if (::poll(&wanted, 1, -1) == -1 && errno != EINTR) throw_errno("wait for the rehearsal's worker");
        const auto received = receive_report(channel.master.reports.get());
        if (std::holds_alternative<PeerGone>(received)) throw std::runtime_error{failure};
        const Report* report = std::get_if<Report>(&received);
        if (report == nullptr) continue;
        if (report->kind == Report::Kind::Ready) return let_leave(channel, child);
        if (report->kind == Report::Kind::Failed) failure = report->text;
    }
}

}  // namespace

void rehearse(const StartUp& start_up, const Handover& handover) {
    const std::shared_ptr<GenerationPlan> plan = restore_plan(start_up, handover);
    const std::shared_ptr<KeyProcess> keys = start_key_process(plan);
    require_descriptors(plan, keys != nullptr, handover);
    for (std::size_t service = 0; service < std::max<std::size_t>(plan->services.size(), 1); ++service)
        boot_one_worker(plan, service);
}

}  // namespace preforkd
