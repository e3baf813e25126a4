#include "daemon/startup/program_checks.hpp"

#include <functional>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "daemon/worker/program/program_launch.hpp"
#include "daemon/worker/program/program_trial.hpp"

namespace preforkd {
namespace {

using CheckProgram = std::function<void(const std::vector<std::string>& words)>;

/// What is wrong with one is said of the option that names it, as its writer knows that.
void check_each(const Settings& settings, const Origins& origins, const CheckProgram& check) {
    const auto check_one = [&](const std::vector<std::string>& words, const auto& named) {
        if (words.empty()) return;
        try {
            check(words);
        } catch (const OperatorError& error) { throw OperatorError{error.code(), named() + error.what()}; }
    };
    check_one(settings.program, [&] {
        const Origin origin = origin_of(origins, "program");
        return is_behind_dashes(origin) ? "-- " : name_at(origin, "program") + ": ";
    });
    for (std::size_t index = 0; index < settings.listen.size(); ++index) {
        const ListenSettings& listen = settings.listen[index];
        check_one(listen.program, [&] {
            return name_at(origin_of(origins, "listen", index), "listen") + ' ' +
                   printable(to_string(listen.endpoint)) + ": program: ";
        });
    }
}

}  // namespace

ProgramFiles find_programs(const Settings& settings, const Origins& origins) {
    ProgramFiles files;
    check_each(settings, origins,
               [&](const std::vector<std::string>& words) { files[words.front()] = find_program(words.front()); });
    return files;
}

void try_programs(const GenerationPlan& plan, const Origins& origins) {
    check_each(*plan.settings, origins, [&](const std::vector<std::string>& words) {
        try_program(plan.program_files.at(words.front()), words, *plan.settings, plan.identity, *plan.sandbox);
    });
}

}  // namespace preforkd
