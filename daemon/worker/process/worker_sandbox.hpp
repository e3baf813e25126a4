#pragma once
// What the settings make of a worker's sandbox.
#include <map>
#include <memory>
#include <string>

#include "common/config/settings.hpp"

namespace preforkd {

class Sandbox;

/// Who puts it on, beside what the settings say of them.
struct SandboxUser {
    Model model = Model::Async;
    std::map<std::string, std::string> program_files{};  ///< what is executed, by what it is called
    bool is_trial = false;  ///< of a shared object, whose model is not known yet, and which writes a report
};

/// Made before the fork.  Throws OperatorError (78) where --sandbox strict cannot be had.
[[nodiscard]] std::shared_ptr<const Sandbox> make_sandbox(const Settings& settings, const SandboxUser& user);

/// Throws OperatorError (78) that names the option when there is nothing at a path of --allow-read or --allow-write.
void check_allowed_paths(const Settings& settings);

}  // namespace preforkd
