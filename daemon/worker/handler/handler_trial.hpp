#pragma once
// Finding out, without loading it into the master, what a shared object serves and whether it works.
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
/// master's that it could harm, and what it tells is not trusted.
class HandlerTrial {
public:
    /// Begins.  Throws when there can be no child.
    HandlerTrial(NamedObject object, const Settings& settings, const Identity& identity, const Sandbox& sandbox);

    [[nodiscard]] ChildCall& call() noexcept { return call_; }
    [[nodiscard]] const ChildCall& call() const noexcept { return call_; }

    /// Once it is over: an entry whose functions load the object, in the process that calls them: a worker.  Throws
    /// OperatorError: 78 and one sentence that names the option when the object cannot be loaded, is for another
    /// version, or its constructor throws, crashes or takes too long.
    [[nodiscard]] HandlerEntry entry() const;

    /// What the workers of the entry load; of which entry() has decided whether that is a copy.
    [[nodiscard]] const std::shared_ptr<SharedObject>& shared() const noexcept { return shared_; }

    /// Once there is an entry: what the operator should know of it; empty: nothing.
    [[nodiscard]] std::string notice() const;

private:
    [[nodiscard]] std::string report() const;

    NamedObject object_;
    std::string path_;
    std::chrono::milliseconds patience_;
    UniqueFd printed_;  ///< a file in memory
    std::shared_ptr<SharedObject> shared_;
    ChildCall call_;
};

/// Makes an instance of each handler that `settings` name and the program has itself, save the built-in ones, in such a
/// child, and waits for it.  Throws OperatorError as HandlerTrial::entry() does.
void try_constructors(const Handlers& known, const Settings& settings, const Origins& origins);

/// Begins a trial of each shared object that `settings` name as a handler and `known` does not have.
[[nodiscard]] std::vector<HandlerTrial> begin_trials(const Handlers& known, const Settings& settings,
                                                     const Origins& origins);

}  // namespace preforkd
