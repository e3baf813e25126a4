#pragma once
// What one generation's workers run, as the master has decided it before the fork.
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/config/settings.hpp"
#include "common/net/listener.hpp"
#include "common/process/identity.hpp"
#include "common/process/process_change.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

class Sandbox;
class SharedObject;
class Signer;

/// What is executed for each program, by what it is called: that was looked for in PATH.
using ProgramFiles = std::map<std::string, std::string>;

/// The settings after all that is automatic has been decided, as workers need them.
struct WorkerPlan {
    const Settings& settings;
    const Handlers& handlers;
    std::vector<Listener>& listeners;  ///< the worker takes the descriptors of its own
    std::size_t service = 0;           ///< whose these are
    int workers = 1;                   ///< that serve them
    Identity identity{};
    const ProcessChange* change = nullptr;     ///< instead of that: as what a service's own workers run
    std::shared_ptr<const Sandbox> sandbox{};  ///< of a process of ours; null in an embedding program
    std::shared_ptr<Signer> signer{};          ///< for private keys that are another process's; null likewise
    Model model = Model::Async;
    std::size_t connections = 1;                           ///< open at once per worker
    std::size_t parked = 1;                                ///< lingering beside them
    std::vector<std::shared_ptr<SharedObject>> objects{};  ///< with handlers, whose copies it needs until it loads them
    ProgramFiles program_files{};
    ProcessChanges process_changes{};    ///< as what programs run
    rlimit original_descriptor_limit{};  ///< RLIMIT_NOFILE as this daemon was given it, for programs
    bool rehearsal = false;              ///< leaves once it would serve, and takes nobody
    std::uint64_t leave_after = 0;       ///< without a master: leaves when it has taken so many clients; 0: never
};

/// Whether the worker serves `listener`; others are their services' own.
[[nodiscard]] inline bool is_own(const Listener& listener, const WorkerPlan& plan) noexcept {
    return listener.service == plan.service;
}

/// Whether it runs no handler, so that nobody here but the daemon has children.
[[nodiscard]] inline bool runs_programs_only(const WorkerPlan& plan) {
    return std::ranges::all_of(plan.listeners, [&](const Listener& listener) {
        return !is_own(listener, plan) || is_program_at(listener.settings, plan.settings);
    });
}

/// Whether a handler that it runs says so of itself.
[[nodiscard]] inline bool some_handler(bool HandlerEntry::*says_so, const WorkerPlan& plan) {
    return std::ranges::any_of(plan.listeners, [&](const Listener& listener) {
        if (!is_own(listener, plan) || is_program_at(listener.settings, plan.settings)) return false;
        const HandlerEntry* const entry = plan.handlers.find(handler_of(listener.settings, plan.settings));
        return entry != nullptr && entry->*says_so;
    });
}

/// Whether handlers run in the worker's own process, whose loop may then be kept from what it should hear.
[[nodiscard]] inline bool runs_handlers_itself(const WorkerPlan& plan) {
    return !starts_programs(plan.settings) && plan.model != Model::Fork;
}

}  // namespace preforkd
