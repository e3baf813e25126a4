#pragma once
// What a handler is configured by, and the options that it declares itself.
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

struct ForwardSettings;

/// An option that a handler has declared.
struct HandlerOption {
    std::string name{};
    std::string argument{};
    std::string meaning{};
    std::string standard{};
    friend bool operator==(const HandlerOption&, const HandlerOption&) = default;
};

/// Where a handler class declares its options: `static void options(preforkd::Options& own)` of it is called with one.
///
///     static void options(preforkd::Options& own) { own.add("banner-file", "FILE", "what to say to each client"); }
///     explicit Kv(const preforkd::HandlerOptions& options) : banner_{read(options["banner-file"])} {}
///
/// They are options of the program as those of the daemon are: in --help, `--banner-file FILE`, PREFORKD_BANNER_FILE, a
/// line `banner-file = FILE`, --print-config; read anew by a reload and by an upgrade.  A value that is not good is for
/// the constructor to refuse, by an exception that says what is expected: it is called in a process that is thrown away
/// before a start, a reload, an upgrade and --check-config believe it.
class Options {
public:
    /// `name`: small letters, digits and dashes, beginning with a letter, and none of the daemon's own; `argument`: the
    /// shape of its value, as --help shows it; `standard`: what it is where nobody gives it.  Throws
    /// std::invalid_argument.
    Options& add(std::string name, std::string argument, std::string meaning, std::string standard = {});

    [[nodiscard]] const std::vector<HandlerOption>& all() const noexcept { return all_; }

private:
    std::vector<HandlerOption> all_{};
};

/// What a handler may want to know of the command line when it is made.
struct HandlerOptions {
    std::string greeting{};                                 ///< --greeting
    std::map<std::string, std::string, std::less<>> own{};  ///< by name, all that the handler has declared
    const ForwardSettings* forward = nullptr;               ///< preforkd's own: of the handler `forward`

    /// Empty: nobody has given it, and it has no standard.  Throws std::out_of_range for one that was not declared.
    [[nodiscard]] const std::string& operator[](std::string_view name) const;
};

}  // namespace preforkd
