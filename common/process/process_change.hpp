#pragma once
// What a child does before its exec, so that a program runs as it shall.
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/process/identity.hpp"
#include "common/process/run_as.hpp"

namespace preforkd {

class ProcessChange {
public:
    /// Looks its user and group up.  Throws OperatorError: 78 when there is none of that name, 77 when this process may
    /// not become it.
    explicit ProcessChange(const RunAs& wanted);

    /// In the child, once its descriptors are in place: nice, limits, umask, group and user (with no_new_privs), the
    /// directory as that user.  Throws std::system_error that names the key, EPERM where the right is missing.
    void make() const;

    /// Whom it makes of the process; unset: nobody else.
    [[nodiscard]] std::optional<uid_t> uid() const noexcept { return identity_.uid; }

    /// NAME=VALUE each: what of `inherited` the program gets, with its user's own and env=.
    [[nodiscard]] std::vector<std::string> environment(std::vector<std::string> inherited) const;

private:
    RunAs wanted_;
    Identity identity_;
};

/// One for each that listeners ask for.
using ProcessChanges = std::map<RunAs, ProcessChange>;

/// nullptr: nothing is asked for.
[[nodiscard]] inline const ProcessChange* change_for(const RunAs& wanted, const ProcessChanges& changes) {
    const auto found = changes.find(wanted);
    return found == changes.end() ? nullptr : &found->second;
}

/// Which capabilities the key that begins `attempt` takes, `nice=-5`; empty: none helps.  Source: capabilities(7)
[[nodiscard]] std::string_view capabilities_for(std::string_view attempt) noexcept;

}  // namespace preforkd
