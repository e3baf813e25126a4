#pragma once
// Where the value of an option comes from: for --print-config, and for errors that name it as the operator wrote it.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/operator_error.hpp"

namespace preforkd {

struct Origin {
    enum class Kind { Default, CommandLine, Environment, File } kind = Kind::Default;
    std::string place{};  ///< Environment: the variable; File: `FILE:LINE`, fit to print; of a PROGRAM: `--`

    friend bool operator==(const Origin&, const Origin&) = default;
};

/// Whether it stood behind the dashes, as a PROGRAM does, and so behind no option.
[[nodiscard]] inline bool is_behind_dashes(const Origin& origin) { return origin.place == "--"; }

/// By the name of the option, for those that were given: one origin for each value in its order (several for listen).
using Origins = std::map<std::string, std::vector<Origin>, std::less<>>;

/// `default`, `command line`, `environment PREFORKD_WORKERS`, `/etc/preforkd.conf:3`.
[[nodiscard]] std::string to_string(const Origin& origin);

/// The option as its writer knows it: `--workers`, `PREFORKD_WORKERS`, `/etc/preforkd.conf:3: workers`.
[[nodiscard]] std::string name_at(const Origin& origin, std::string_view option);

/// Usage for the command line, otherwise Configuration.
[[nodiscard]] ExitCode exit_code(const Origin& origin) noexcept;

/// The origin of the `index`th value of `option`; Default when nobody gave it.
[[nodiscard]] Origin origin_of(const Origins& origins, std::string_view option, std::size_t index = 0);

/// Throws `<name_at>: <sentence>` with the exit code of the origin.
[[noreturn]] void blame(const Origin& origin, std::string_view option, std::string_view sentence);

}  // namespace preforkd
