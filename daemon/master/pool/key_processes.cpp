#include "daemon/master/pool/key_processes.hpp"

#include <unistd.h>

#include <algorithm>

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto before_passing_again = 100ms;  // what a process had no place for; that it reads is no event

bool lacks_signer(const WorkerEntry& worker) { return worker.signing && worker.key_process == 0; }

}  // namespace

/// The newest last.
std::vector<KeyProcess*> KeyProcesses::kept() const {
    std::vector<KeyProcess*> found;
    for (const Cohort* cohort : std::initializer_list<const Cohort*>{&generations_.current(), generations_.next()})
        if (cohort != nullptr && cohort->plan.keys) found.push_back(cohort->plan.keys.get());
    return found;
}

KeyProcess* KeyProcesses::find(pid_t pid) const noexcept {
    for (KeyProcess* each : kept())
        if (each->pid() == pid) return each;
    return nullptr;
}

KeyProcess* KeyProcesses::signing_for(const WorkerEntry& worker) const noexcept {
    const Cohort* const own = generations_.find(worker.generation);
    if (own != nullptr && own->plan.keys) return own->plan.keys.get();
    const auto others = kept();
    return others.empty() ? nullptr : others.front();
}

void KeyProcesses::maintain(Clock::time_point now) {
    for (KeyProcess* each : kept()) {
        each->wake(events_);
        each->maintain(now);
    }
    for (WorkerEntry& worker : workers_) {
        if (!lacks_signer(worker)) continue;
        KeyProcess* const keys = signing_for(worker);
        if (keys == nullptr || !keys->attach(worker.signing, worker.was_signed_for)) continue;
        worker.key_process = keys->pid();
        worker.was_signed_for = true;
    }
}

Deadline KeyProcesses::deadline(Clock::time_point now) const {
    Deadline next;
    for (const KeyProcess* each : kept()) next = earlier(next, each->deadline());
    const bool waits = std::ranges::any_of(workers_, [this](const WorkerEntry& worker) {
        const KeyProcess* const keys = lacks_signer(worker) ? signing_for(worker) : nullptr;
        return keys != nullptr && keys->serving();
    });
    return waits ? earlier(next, now + before_passing_again) : next;
}

void KeyProcesses::hear(pid_t pid) {
    if (KeyProcess* const keys = find(pid)) keys->hear();
}

bool KeyProcesses::reap(pid_t pid, Clock::time_point now) {
    if (std::erase(old_, pid) != 0)
        (void)ChildProcess{pid, ChildProcess::Handle::Later}.try_reap();
    else if (KeyProcess* const keys = find(pid); keys == nullptr || !keys->reap(pid, now))
        return false;
    forget(pid);
    return true;
}

void KeyProcesses::forget(pid_t dead) noexcept {
    for (WorkerEntry& worker : workers_)
        if (worker.key_process == dead) worker.key_process = 0;
}

bool KeyProcesses::is_one(pid_t pid) const noexcept {
    return std::ranges::find(old_, pid) != old_.end() || find(pid) != nullptr;
}

void KeyProcesses::leave(const Generation& generation) {
    if (generation.keys && generation.keys->pid() != 0) old_.push_back(generation.keys->pid());
}

std::optional<KeyProcessStatus> KeyProcesses::status() const {
    const Generation& generation = generations_.current().plan;
    if (!generation.keys) return std::nullopt;
    const auto serving = generation.keys->serving();
    if (!serving) return KeyProcessStatus{};
    return KeyProcessStatus{.pid = serving->pid, .user = serving->user, .has_own_user = serving->user != ::geteuid()};
}

std::vector<pid_t> KeyProcesses::all() const {
    std::vector<pid_t> pids = old_;
    for (const KeyProcess* each : kept())
        if (each->pid() != 0) pids.push_back(each->pid());
    return pids;
}

}  // namespace preforkd
