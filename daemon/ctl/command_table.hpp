#pragma once
// What preforkctl understands: its commands, and the options of each.  Parsing, help and, by way of help, the
// completion all follow this one table.  Pure.
#include <span>
#include <string>
#include <string_view>

namespace preforkd {

struct CtlCommand {
    std::string_view name;
    std::string_view words;  ///< the shape of what stands behind it
    std::string_view meaning;
};

struct CtlOption {
    std::string_view name;
    char letter;                ///< of the short form; 0: none
    std::string_view argument;  ///< the shape of its value; empty: it takes none
    std::string_view commands;  ///< for which, separated by blanks; empty: all
    std::string_view meaning;
};

[[nodiscard]] std::span<const CtlCommand> ctl_commands() noexcept;
[[nodiscard]] std::span<const CtlOption> ctl_options() noexcept;

/// The command called `name`, exactly; null if there is none.
[[nodiscard]] const CtlCommand* find_ctl_command(std::string_view name) noexcept;

/// Whether `option` goes with `command`.
[[nodiscard]] bool goes_with(const CtlOption& option, const CtlCommand& command) noexcept;

/// The text of --help: of `command`, or of all where it is null.
[[nodiscard]] std::string ctl_help(const CtlCommand* command);

}  // namespace preforkd
