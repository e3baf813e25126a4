#pragma once
// The one list of options: the command line, the environment, the file, --print-config and --help all follow it.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/settings.hpp"
#include "preforkd/handler_options.hpp"

namespace preforkd {

struct OptionRow {
    std::string_view name;      ///< `idle-timeout`: `--idle-timeout`, `PREFORKD_IDLE_TIMEOUT`, `idle-timeout = 60s`
    char letter;                ///< of the short form; 0: none
    std::string_view argument;  ///< the shape of its value; empty: an order that only the command line gives
    std::string_view group;     ///< its heading in --help
    std::string_view meaning;
    std::string_view unset;  ///< what holds while it has no value

    /// Takes one value over.  Throws std::invalid_argument with `expected ..., not ...`.
    void (*read)(Settings&, std::string_view text);
    /// The values that `read` takes back; none while it is unset.  Null for what is no part of Settings.
    std::vector<std::string> (*print)(const Settings&);

    bool repeatable = false;
    const HandlerOption* own = nullptr;  ///< a handler's, which nothing of Settings is made for

    [[nodiscard]] bool takes_value() const noexcept { return !argument.empty(); }
    [[nodiscard]] bool in_file() const noexcept { return print != nullptr || own != nullptr; }

    /// As `read` and `print`, of either kind.
    void take(Settings& settings, std::string_view text) const;
    [[nodiscard]] std::vector<std::string> values(const Settings& settings) const;
};

[[nodiscard]] std::span<const OptionRow> option_table() noexcept;

/// The row called `name`, exactly; null if there is none.
[[nodiscard]] const OptionRow* find_option(std::string_view name) noexcept;
[[nodiscard]] const OptionRow* find_option(char letter) noexcept;

/// `PREFORKD_IDLE_TIMEOUT` for `idle-timeout`.
[[nodiscard]] std::string environment_name(const OptionRow& row);

/// The daemon's options and those that the handlers of a program have declared.
class OptionTable {
public:
    OptionTable() : OptionTable(std::vector<HandlerOption>{}) {}
    explicit OptionTable(std::vector<HandlerOption> own);

    [[nodiscard]] std::span<const OptionRow> rows() const noexcept { return rows_; }
    [[nodiscard]] const OptionRow* find(std::string_view name) const noexcept;

    /// The name of the option that `wrong` may have meant; empty if none is near.
    [[nodiscard]] std::string_view nearest(std::string_view wrong) const;

private:
    std::shared_ptr<const std::vector<HandlerOption>> own_;  // whose texts the rows refer to
    std::vector<OptionRow> rows_;
};

/// Whether all options say the same, and the program is the same.
[[nodiscard]] bool same_settings(const Settings& one, const Settings& other);

/// The endpoint that is served when nobody names one.
inline constexpr std::string_view default_endpoint = "tcp://:10000";

}  // namespace preforkd
