#pragma once
// Finding out, without running its code in the master, what a shared object serves, and whether a handler can be made.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config/option_origin.hpp"
#include "common/config/settings.hpp"
#include "common/process/child_call.hpp"
#include "common/process/identity.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

class Sandbox;
class SharedObject;

/// Where the settings name a handler.
struct NamedObject {
    std::string name{};
    Origin origin{};
    std::string option{};
};

/// A throw-away child that copies a shared object into memory, loads it as a worker would (its user, directory, limits
/// and sandbox), makes its instances, tells of them and leaves, within --boot-timeout.  It holds nothing of the
/// master's that it could harm, and what it tells is not trusted.  Of a handler that the program has itself it makes
/// the instances only.
class HandlerTrial {
public:
    /// Begins.  Throws when there can be no child.
    HandlerTrial(NamedObject object, const Settings& settings, const Identity& identity, const Sandbox& sandbox);
    HandlerTrial(NamedObject named, const HandlerEntry& entry, const Settings& settings, const Identity& identity,
                 const Sandbox& sandbox, const Origins& origins);

    [[nodiscard]] ChildCall& call() noexcept { return call_; }
    [[nodiscard]] const ChildCall& call() const noexcept { return call_; }

    /// Once it is over.  Throws OperatorError: 78 and one sentence that names the option when the object cannot be
    /// loaded, is for another version, or its constructor throws, crashes or takes too long.
    void check() const { (void)judged(); }

    /// Of a shared object: the same, and an entry whose functions load it, in the process that calls them: a worker.
    [[nodiscard]] HandlerEntry entry() const;

    /// What the workers of the entry load; of which entry() has decided whether that is a copy.  Null: the program has
    /// the handler itself.
    [[nodiscard]] const std::shared_ptr<SharedObject>& shared() const noexcept { return shared_; }

    /// Once there is an entry: what the operator should know of it; empty: nothing.
    [[nodiscard]] std::string notice() const;

private:
    [[nodiscard]] std::string report() const;
    [[nodiscard]] std::string judged() const;

    NamedObject object_;
    std::string given_{};  ///< which of its own options were, for the sentence
    std::string path_{};
    std::chrono::milliseconds patience_;
    UniqueFd printed_;  ///< a file in memory
    std::shared_ptr<SharedObject> shared_{};
    ChildCall call_;
};

/// The same of each handler that `settings` serve with, the program has itself, and that has no options of its own,
/// save the built-in ones; and waits for it.  Throws OperatorError as HandlerTrial::check() does.
void try_constructors(const Handlers& known, const Settings& settings, const Origins& origins);

/// Whether a handler is tried whose values have been good before.
enum class OwnOptions { Try, Believe };

/// Begins a trial of each shared object that `settings` name as a handler and `known` does not have, and of each of
/// `known` that they serve with and that has options of its own, whose values only its constructor can judge.
[[nodiscard]] std::vector<HandlerTrial> begin_trials(const Handlers& known, const Settings& settings,
                                                     const Origins& origins, OwnOptions own = OwnOptions::Try);

}  // namespace preforkd
