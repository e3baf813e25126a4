#pragma once
// The command line, PREFORKD_* and the configuration file, read by one table into Settings.
#include <optional>
#include <string>
#include <vector>

#include "common/config/config_reading.hpp"
#include "common/config/option_origin.hpp"
#include "common/config/options_table.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// What the command line asks to be done.
enum class Task { Serve, Help, Version, CheckConfig, PrintConfig, ListHandlers };

struct Invocation {
    Task task = Task::Serve;
    Settings settings{};
    Origins origins{};                         ///< who gave which option: check_settings() names it so
    std::vector<std::string> notices{};        ///< for the log, once it is open: what was replaced
    std::vector<std::string> warnings{};       ///< for the log, once it is open: an unknown PREFORKD_* variable
    std::string printed_config{};              ///< --print-config: a line `name = value  # origin` for each option
    std::string config_file{};                 ///< that -C names; empty: none
    std::optional<std::string> config_text{};  ///< what it and the files of its directory said, see read_config()
};

/// Whose options they are: preforkd's, or those of a program of one's own that calls run().
struct Program {
    std::string name = "preforkd";             ///< as it was started
    std::string handler = Settings{}.handler;  ///< what serves when nobody says --handler and there is no PROGRAM
    bool greets = true;                        ///< it has the handler greet, which --greeting is for
    std::string version{};                     ///< its own; empty: it says none
    OptionTable options{};                     ///< those that its handlers have declared included
};

/// nullopt: none, or what the command line asks for needs none.  Opens nothing.  Throws as read_options().
[[nodiscard]] std::optional<ConfigFile> config_file_of(const std::vector<std::string>& arguments,
                                                       const std::vector<std::string>& environment,
                                                       const Program& program = {});

/// Reads `arguments` (without argv[0]), `environment` (`NAME=value` lines) and the file that -C names, with those of
/// FILE.d: there a later file's value holds, and listeners are added.
/// Precedence: command line, environment, files, default.  Opens nothing but those files.
/// `config_text`: instead of what the file says now.
/// Throws OperatorError: Usage for the command line, Configuration for environment and file (with file and line).
[[nodiscard]] Invocation read_options(const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& environment, const Program& program = {},
                                      const std::optional<std::string>& config_text = {});

/// The text of --help.
[[nodiscard]] std::string help_text(const Program& program = {});

/// The line of --version: `preforkd 1.0`, `upper (preforkd 1.0)`, or `kv 1.2 (preforkd 1.0)`.
[[nodiscard]] std::string version_text(const Program& program);

}  // namespace preforkd
