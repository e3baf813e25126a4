#include "daemon/ctl/options_control.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <stdexcept>

#include "common/control_endpoint.hpp"
#include "common/nearest_name.hpp"
#include "common/quoted.hpp"
#include "common/units.hpp"

namespace preforkd {
namespace {

namespace po = boost::program_options;
using Texts = std::vector<std::string>;
using enum ControlCommand;

/// Which option is for which commands.
struct ControlOption {
    std::string_view name;
    bool takes_value;
    std::array<bool, control_command_names.size()> fits;  // in the order of ControlCommand
};
constexpr std::array<ControlOption, 5> known_options{{
    {"control", true, {true, true, true, true, true, true, true}},
    {"timeout", true, {true, true, true, true, true, true, true}},
    {"json", false, {true, false, false, false, false, true}},
    {"watch", false, {true, false, false, false, false, false}},
    {"force", false, {false, false, true, false, false, false}},
}};

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument{sentence}; }

const ControlOption* find_option(std::string_view name) {
    const auto found = std::ranges::find(known_options, name, &ControlOption::name);
    return found == known_options.end() ? nullptr : &*found;
}

bool is_option(std::string_view word) {
    return word.starts_with("--") && find_option(word.substr(2, word.find('=') - 2)) != nullptr;
}

std::string_view name_of(ControlCommand command) { return control_command_names.at(static_cast<std::size_t>(command)); }

[[noreturn]] void refuse_unknown(const std::string& word) {
    const std::string shown = word.substr(0, word.find('='));
    std::array<std::string_view, known_options.size()> names;
    std::ranges::transform(known_options, names.begin(), &ControlOption::name);
    const std::string_view name = std::string_view{shown}.substr(std::min(shown.find_first_not_of('-'), shown.size()));
    if (const auto nearest = nearest_name(name, names))
        refuse(fmt::format("unknown option {}; did you mean --{}?", in_quotes(shown), *nearest));
    refuse(fmt::format("unknown option {}; see preforkctl --help", in_quotes(shown)));
}

std::vector<po::option> split(const Texts& arguments) {
    using namespace po::command_line_style;
    po::options_description description;
    for (const ControlOption& each : known_options) {
        const po::value_semantic* value = nullptr;
        if (each.takes_value)
            value = po::value<Texts>();
        else
            value = new po::untyped_value(true);  // the description owns it
        description.add_options()(std::string{each.name}.c_str(), value);
    }
    try {
        po::command_line_parser parser{arguments};
        return parser.options(description)
            .style(unix_style & ~allow_guessing & ~allow_sticky)
            .allow_unregistered()
            .run()
            .options;
    } catch (const po::invalid_command_line_syntax& error) {
        const std::string name = error.get_option_name();
        const ControlOption* option = find_option(std::string_view{name}.substr(std::min<std::size_t>(2, name.size())));
        if (option != nullptr && !option->takes_value) refuse(fmt::format("{0}: takes no value; write {0}", name));
        refuse(fmt::format("{0}: has no value; write {0} {1}", name,
                           name == "--timeout" ? "5s" : "unix:///run/preforkd/control.sock"));
    }
}

std::chrono::milliseconds read_timeout(const std::string& text) {
    const auto timeout = parse_duration(text);
    if (!timeout)
        refuse(fmt::format("--timeout: {} is no duration; expected such as 500ms, 5s or 1m30s, 0 is for ever",
                           in_quotes(text)));
    return *timeout;
}

Endpoint read_endpoint(const std::string& text) {
    try {
        return parse_control_endpoint(text);
    } catch (const std::invalid_argument& error) { refuse(fmt::format("--control: {}", error.what())); }
}

void read_option(ControlOrder& order, const po::option& option) {
    const ControlOption& known = *find_option(option.string_key);
    const Texts& tokens = option.original_tokens;
    if (!known.fits.at(static_cast<std::size_t>(order.request.command)))
        refuse(fmt::format("--{}: does not go with {}", known.name, name_of(order.request.command)));
    if (tokens.size() == 2 && is_option(tokens[1]))
        refuse(fmt::format("--{0}: has no value, {1} is an option; if it is meant: --{0}={1}", known.name, tokens[1]));
    if (known.name == "control") order.control = read_endpoint(option.value.at(0));
    if (known.name == "timeout") order.timeout = read_timeout(option.value.at(0));
    if (known.name == "json") order.json = true;
    if (known.name == "watch") order.watch = true;
    if (known.name == "force") order.request.force = true;
}

/// Those whose outcome takes as long as workers take to start and clients to finish.
bool takes_its_time(ControlCommand command) { return command == Reload || command == Upgrade || command == Stop; }

}  // namespace

ControlOrder read_control_options(const Texts& arguments) {
    Texts words;
    Texts seen;
    const std::vector<po::option> options = split(arguments);
    for (const po::option& option : options) {
        if (option.unregistered) refuse_unknown(option.original_tokens.front());
        if (option.position_key != -1) words.push_back(option.value.at(0));
    }
    // The words are what the daemon understands, too.
    ControlOrder order{.request = parse_control_request(fmt::format("{}", fmt::join(words, " ")))};
    if (takes_its_time(order.request.command)) order.timeout = std::chrono::minutes{5};
    for (const po::option& option : options) {
        if (option.position_key != -1) continue;
        if (std::ranges::count(seen, option.string_key) != 0)
            refuse(fmt::format("--{}: given twice; keep one", option.string_key));
        seen.push_back(option.string_key);
        read_option(order, option);
    }
    return order;
}

}  // namespace preforkd
