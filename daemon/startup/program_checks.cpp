#include "daemon/startup/program_checks.hpp"

#include <functional>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "daemon/worker/program/program_environment.hpp"
#include "daemon/worker/program/program_launch.hpp"
#include "daemon/worker/program/program_trial.hpp"

namespace preforkd {
namespace {

/// `--listen tcp://:80: `, to begin a sentence with.
std::string listener_at(std::size_t index, const Settings& settings, const Origins& origins) {
    return name_at(origin_of(origins, "listen", index), "listen") + ' ' +
           printable(to_string(settings.listen[index].endpoint)) + ": ";
}

/// What `check` finds wrong is said of what `named` gives, as its writer knows that.
template <class Named>
void check_one(const Named& named, const std::function<void()>& check) {
    try {
        check();
    } catch (const OperatorError& error) { throw OperatorError{error.code(), named() + error.what()}; }
}

using CheckProgram = std::function<void(const std::vector<std::string>& words, const RunAs& run_as)>;

void check_each(const Settings& settings, const Origins& origins, const CheckProgram& check) {
    if (!settings.program.empty())
        check_one(
            [&] {
                const Origin origin = origin_of(origins, "program");
                return is_behind_dashes(origin) ? "-- " : name_at(origin, "program") + ": ";
            },
            [&] { check(settings.program, {}); });
    for (std::size_t index = 0; index < settings.listen.size(); ++index) {
        const ListenSettings& listen = settings.listen[index];
        const std::vector<std::string>& words = program_at(listen, settings);
        if (words.empty() || (listen.program.empty() && listen.run_as == RunAs{})) continue;
        check_one([&] { return listener_at(index, settings, origins) + (listen.program.empty() ? "" : "program: "); },
                  [&] { check(words, listen.run_as); });
    }
}

using CheckChange = std::function<void(const ListenSettings& listen)>;

void check_each_change(const Settings& settings, const Origins& origins, const CheckChange& check) {
    for (std::size_t index = 0; index < settings.listen.size(); ++index)
        if (const ListenSettings& listen = settings.listen[index]; listen.run_as != RunAs{})
            check_one([&] { return listener_at(index, settings, origins); }, [&] { check(listen); });
}

/// Of what is told of each client, and of what a daemon alone is told.
void check_variables(const RunAs& run_as) {
    for (const std::string& variable : run_as.environment)
        if (!is_passed_on(variable))
            throw OperatorError{ExitCode::Configuration,
                                "env: " + variable.substr(0, variable.find('=')) +
                                    " is what preforkd tells programs, or is told itself; choose another name"};
}

}  // namespace

ProgramFiles find_programs(const Settings& settings, const Origins& origins) {
    ProgramFiles files;
    check_each(settings, origins, [&](const std::vector<std::string>& words, const RunAs&) {
        files[words.front()] = find_program(words.front());
    });
    return files;
}

ProcessChanges look_up_changes(const Settings& settings, const Origins& origins) {
    ProcessChanges changes;
    check_each_change(settings, origins, [&](const ListenSettings& listen) {
        check_variables(listen.run_as);
        changes.try_emplace(listen.run_as, listen.run_as);
    });
    return changes;
}

void try_programs(const GenerationPlan& plan, const Origins& origins) {
    const Settings& settings = *plan.settings;
    check_each_change(settings, origins, [&](const ListenSettings& listen) {
        // Of a handler the worker itself is changed, and by --user it is not.
        const Identity& before = is_program_at(listen, settings) ? plan.identity : Identity{};
        try_change(plan.process_changes.at(listen.run_as), settings, before);
    });
    check_each(settings, origins, [&](const std::vector<std::string>& words, const RunAs& run_as) {
        try_program(plan.program_files.at(words.front()), words, settings, plan.identity, *plan.sandbox,
                    change_for(run_as, plan.process_changes));
    });
}

}  // namespace preforkd
