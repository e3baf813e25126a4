#pragma once
// The command line of preforkctl, split and checked against its table.  Pure.
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/ctl/command_table.hpp"

namespace preforkd {

struct CommandLine {
    enum class Task { Command, Help, Version } task{};
    const CtlCommand* command = nullptr;                        ///< of Help null where none is named
    std::vector<std::string> words{};                           ///< behind the command
    std::map<std::string, std::string, std::less<>> options{};  ///< by name, all of them the command's own

    [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
    [[nodiscard]] std::optional<std::string> value(std::string_view option) const;
};

/// Options stand anywhere, before the command too; behind `--` all is words.
/// Throws std::invalid_argument with one sentence that names what is wrong and what to write instead.
[[nodiscard]] CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// What throws that.
[[noreturn]] void refuse(const std::string& sentence);

/// A TIME of --timeout.  Throws as above.
[[nodiscard]] std::chrono::milliseconds read_ctl_timeout(const std::string& text);

}  // namespace preforkd
