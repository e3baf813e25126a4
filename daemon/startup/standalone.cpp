#include "daemon/startup/standalone.hpp"

#include "common/channel/stopping.hpp"
#include "common/log/log_output.hpp"
#include "common/systemd/ready_fd.hpp"
#include "daemon/master/pool/key_process.hpp"

namespace preforkd {

namespace {

SigningEnd attach_to(KeyProcess* keys) {
    if (keys == nullptr) return {};
    SigningPipes pipes = open_signing_pipes();
    (void)keys->attach(pipes.keys, false);
    return std::move(pipes.worker);
}

}  // namespace

int serve_alone(const WorkerPlan& plan, Announcements announcements, std::shared_ptr<KeyProcess> keys) {
    WorkerRecord record;
    SigningEnd signing = attach_to(keys.get());
    keys = nullptr;  // it ends with this process
    // The worker takes the descriptors of `plan.listeners`, so what the stop needs of them is kept here.
    std::vector<Listener> own;
    for (const Listener& listener : plan.listeners) own.push_back(duplicate(listener));

    const auto ready = [&] {
        announce_ready(std::move(announcements.ready_fd), plan.listeners);
        announcements.systemd.ready("one process, no master");
        log(LogLevel::Notice, "ready in one process, without workers");
    };
    const auto before_stop = [&] {
        log(LogLevel::Notice, "stopping");
        announcements.systemd.stopping();
        close_for_good(own);
    };
    const int code = run_standalone(plan, {.record = record, .signing = std::move(signing)}, ready,
                                    {.before_stop = before_stop,
                                     .log = plan.settings.log,
                                     .alive_period = announcements.systemd.watchdog_period(),
                                     .alive = [&] { announcements.systemd.watchdog(); }});
    log_cut_connections(record.cut.load(std::memory_order_relaxed));
    log(LogLevel::Notice, "stopped with exit code {exit_code}", {{"exit_code", std::int64_t{code}}});
    return code;
}

}  // namespace preforkd
