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
    std::vector<Listener>& listeners;  ///< the worker takes their descriptors
    Identity identity{};
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

/// Whether it runs no handler, so that nobody here but the daemon has children.
[[nodiscard]] inline bool runs_programs_only(const WorkerPlan& plan) {
    return std::ranges::all_of(
        plan.listeners, [&](const Listener& listener) { return is_program_at(listener.settings, plan.settings); });
}

/// Whether a handler that serves one of `listeners` says so of itself.
[[nodiscard]] inline bool some_handler(bool HandlerEntry::*says_so, const std::vector<Listener>& listeners,
                                       const Settings& settings, const Handlers& handlers) {
    return std::ranges::any_of(listeners, [&](const Listener& listener) {
        if (is_program_at(listener.settings, settings)) return false;
        const HandlerEntry* const entry = handlers.find(handler_of(listener.settings, settings));
        return entry != nullptr && entry->*says_so;
    });
}

[[nodiscard]] inline bool some_handler(bool HandlerEntry::*says_so, const WorkerPlan& plan) {
    return some_handler(says_so, plan.listeners, plan.settings, plan.handlers);
}

/// Whether handlers run in the worker's own process, whose loop may then be kept from what it should hear.
[[nodiscard]] inline bool runs_handlers_itself(const WorkerPlan& plan) {
    return !starts_programs(plan.settings) && plan.model != Model::Fork;
}

}  // namespace preforkd
