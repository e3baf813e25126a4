#pragma once
// The shape of a configuration file: `name = value` lines, whatever the names mean.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

struct ConfigLine {
    std::string name{};
    std::string value{};
    std::string place{};      ///< `FILE:LINE`, fit to print
    bool is_section = false;  ///< `[name]`: the lines behind it, up to the next or the end of the file, belong to it
    std::size_t file = 0;     ///< 0: the one that was named; then those of its directory in their order

    friend bool operator==(const ConfigLine&, const ConfigLine&) = default;
};

/// Reads the text of a file.  Pure.
///
///   # a comment                      a `#` begins one at the start of a line or behind a blank
///   name = value                     blanks around both are dropped
///   name = "value # with \n"         in quotes everything counts; \\ \" \n \r \t \xHH are read as in C
///   [tls://:443]                     begins a section
///
/// Throws OperatorError (Configuration) with `FILE:LINE: ...` for anything else, and for a NUL byte that does not begin
/// a file, see append_config().
[[nodiscard]] std::vector<ConfigLine> parse_config(std::string_view text, std::string_view file);

/// Puts another file's text behind `text`, so that parse_config() knows where each line comes from: between them stands
/// a line of a NUL, which no file has, and its name.
void append_config(std::string& text, std::string_view more, std::string_view file);

/// Throws OperatorError (Configuration) with `FILE:LINE: ...` for a NUL byte.
void require_text(std::string_view text, std::string_view file);

/// The files of a directory that are read behind the one it belongs to: `*.conf`, none that is hidden, in byte order.
/// Empty without the directory.  Throws std::system_error when it cannot be read.
[[nodiscard]] std::vector<std::string> config_directory_files(const std::string& directory);

/// What has become of a file that held settings before.
enum class Emptied {
    No,
    AllCommented,  ///< it holds comments, and no setting
    Blank,         ///< it holds nothing at all
};

/// `before` and `now` are texts that parse_config() reads.  Pure.
[[nodiscard]] Emptied compare_configs(std::string_view before, std::string_view now);

/// `value` as it must stand behind `name = ` to be read back: in quotes only where that is needed.
[[nodiscard]] std::string config_value(std::string_view value);

/// The text of `file`, at most `largest_bytes`.
/// Throws std::system_error when it cannot be read, std::length_error when it is larger, std::invalid_argument when it
/// is no file but a FIFO or a device.
[[nodiscard]] std::string read_config_file(const std::string& file, std::size_t largest_bytes = std::size_t{1} << 20);

}  // namespace preforkd
