// The supervisor's part in an upgrade: what it leaves to the next image, and what it takes over from the one before.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "common/base/version.hpp"
#include "daemon/master/pool/handed_listeners.hpp"
#include "daemon/master/supervisor.hpp"

namespace preforkd {

Supervisor::Supervisor(const MasterParts& parts, Generation current, BeginLoading load, const Handover& handover)
    : parts_{parts},
      pool_{std::move(current), events_, handover},
      reloader_{pool_, parts_.systemd, std::move(load)},
      upgrader_{parts_.launch, events_, [this] { return describe(); }, [this] { pool_.count_upgrade(false); }},
      before_{handover},
      old_image_{handover.old_image},
      life_{.phase = Phase::Running} {
    const auto now = Clock::now();
    began_ = handover.started;
    start(now);
    control_.adopt(handover.control, now);
    reloader_.count_from(handover.last_generation);
    reap();  // who died between the two images; a signal for it may have been taken by the first
    if (handover.purpose == Handover::Purpose::Resume)
        resume(handover);
    else if (pool_.current().body)
        conclude_upgrade({.done = true, .sentence = "its workers are copies of a program, and go on"});
    else
        prove(handover, now);
    control_.reload_for_adopted(handover.control, now);
}

void Supervisor::resume(const Handover& handover) {
    log(LogLevel::Error, "upgrade failed, version {version} carries on: {cause}",
        {{"cause", handover.reason}, {"version", version()}});
    pool_.count_upgrade(false);
    control_.conclude_upgrade({.ok = false, .sentence = handover.reason});
    before_.reset();
}

/// A generation of this image has to become ready; if it does not, the image before carries on with its workers.
void Supervisor::prove(const Handover& handover, Clock::time_point now) {
    spare_ = UniqueFd{::fcntl(old_image_.get(), F_DUPFD_CLOEXEC, 3)};
    log(LogLevel::Notice, "version {version} took over from {before}",
        {{"version", version()}, {"before", handover.version}});
    reloader_.prove(now, [this](const ReloadOutcome& outcome) {
        if (!outcome.done && life_.phase == Phase::Running) return revert(outcome.sentence);
        conclude_upgrade(outcome);
    });
}

/// Of this image, which goes on whatever the outcome was.
void Supervisor::conclude_upgrade(const ReloadOutcome& outcome) {
    if (outcome.done) pool_.count_upgrade(true);
    const bool same = is_own_file(old_image_.get());
    before_.reset();
    old_image_ = {};
    spare_ = {};
    const std::string file = own_file();
    const std::string hint = same ? ", which ran before: install the new release there" : "";
    if (outcome.done)
        log(same ? LogLevel::Warning : LogLevel::Notice,
            same ? "upgraded: version {version} runs, from {executable}, which ran before: install the new release "
                   "there; {outcome}"
                 : "upgraded: version {version} runs, from {executable}; {outcome}",
            {{"version", version()}, {"executable", file}, {"outcome", outcome.sentence}});
    control_.conclude_upgrade(
        {.ok = outcome.done,
         .sentence = fmt::format("version {} runs, from {}{}; {}", version(), file, hint, outcome.sentence)});
}

void Supervisor::revert(const std::string& cause) {
    Handover handover = describe();
    handover.purpose = Handover::Purpose::Resume;
    handover.reason = cause;
    handover.config_text = before_->config_text;
    restrict_to(before_->format, handover);
    spare_ = {};
    const int error = become(old_image_.get(), launch_of(*before_), handover);
    log(LogLevel::Error,
        "upgrade failed: {cause}; the version before cannot be executed: {error}; its workers serve on",
        {{"cause", cause}, {"error", std::strerror(error)}});
}

Handover Supervisor::describe() {
    Handover handover{.version = version(),
                      .arguments = parts_.launch.arguments,
                      .environment = parts_.launch.environment,
                      .executable = parts_.launch.executable,
                      .descriptor_limit = parts_.launch.descriptor_limit,
                      .ticket_keys = parts_.launch.ticket_keys->to_text(),
                      .config_text = pool_.current().config_text,
                      .started = began_,
                      .last_generation = reloader_.last_number(),
                      .listeners = to_handed(*pool_.current().listeners)};
    std::ranges::move(to_handed(*pool_.current().observed), std::back_inserter(handover.listeners));
    pool_.describe(handover);
    handover.control = control_.describe();
    return handover;
}

/// Copies of a program are left alone where nothing else is served.
Slots Supervisor::slots_for_upgrade() const {
    const PoolSettings& pool = pool_.current().pool;
    return pool.runs_copies && pool.services.empty() ? Slots::Free : pool_.slots(Clock::now());
}

void Supervisor::offer_slots(Clock::time_point now) {
    if (life_.phase == Phase::Running && slots_for_upgrade() == Slots::Taken)
        upgrader_.lack_slots(pool_.why_no_slots(now));
}

bool Supervisor::rests() const {
    return life_.phase == Phase::Running && pool_.all_ready() && !reloader_.busy() &&
           slots_for_upgrade() == Slots::Free;
}

}  // namespace preforkd
