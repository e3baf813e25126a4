#include "common/config/options.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>

#include "common/base/quoted.hpp"
#include "common/base/take_until.hpp"
#include "common/config/config_file.hpp"
#include "common/config/idle_options.hpp"
#include "common/config/listen_section.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/options_table.hpp"
#include "common/config/options_text.hpp"

namespace preforkd {
namespace {

namespace po = boost::program_options;
using Texts = std::vector<std::string>;

void read_value(Settings& settings, const OptionRow& row, const std::string& value, const Origin& origin) {
    try {
        row.take(settings, value);
    } catch (const std::invalid_argument& error) { blame(origin, row.name, error.what()); }
}

/// The values of one place, as Boost.Program_options stores them.  `origins` runs in step with `parsed.options`.
struct Source {
    po::parsed_options parsed;
    std::vector<Origin> origins{};

    void add(const OptionRow& row, std::string value, Origin origin) {
        po::option option{std::string{row.name}, Texts{std::move(value)}};
        parsed.options.push_back(std::move(option));
        origins.push_back(std::move(origin));
    }

    /// All of them that were added.  What is outvoted has to be good, too.
    void forget(const OptionRow& row) {
        Settings scratch;
        for (std::size_t i = origins.size(); i-- > 0;) {
            if (parsed.options[i].string_key != row.name) continue;
            read_value(scratch, row, parsed.options[i].value.front(), origins[i]);
            parsed.options.erase(parsed.options.begin() + static_cast<std::ptrdiff_t>(i));
            origins.erase(origins.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
};

po::options_description describe_options(const OptionTable& table) {
    po::options_description description;
    for (const OptionRow& row : table.rows()) {
        const std::string names = row.letter != 0 ? fmt::format("{},{}", row.name, row.letter) : std::string{row.name};
        const po::value_semantic* values = nullptr;
        if (row.takes_value())
            values = po::value<Texts>();
        else
            values = new po::untyped_value(true);  // the description owns it
        description.add_options()(names.c_str(), values);
    }
    return description;
}

[[noreturn]] void refuse_usage(const std::string& sentence) { throw OperatorError{ExitCode::Usage, sentence}; }

std::string_view nearest_of(const Program& program, std::string_view wrong) {
    const std::string_view nearest = program.options.nearest(wrong);
    return nearest == "greeting" && !program.greets ? std::string_view{} : nearest;
}

// --- The command line ---

[[noreturn]] void refuse_unknown(const po::option& option, const Program& program) {
    const std::string& token = option.original_tokens.front();
    const bool is_long = token.starts_with("--");
    const std::string shown = is_long ? token.substr(0, token.find('=')) : option.string_key.substr(0, 2);
    const std::string_view nearest = is_long ? nearest_of(program, shown.substr(2)) : std::string_view{};
    if (is_long && nearest.empty() && shown.size() == 3 && find_option(shown[2]) != nullptr)
        refuse_usage(fmt::format("unknown option {}; did you mean {}?", in_quotes(shown), shown.substr(1)));
    if (nearest.empty()) refuse_usage(fmt::format("unknown option {}; see {} --help", in_quotes(shown), program.name));
    refuse_usage(fmt::format("unknown option {}; did you mean --{}?", in_quotes(shown), nearest));
}

[[noreturn]] void refuse_word(const std::string& word, const Program& program) {
    if (word.find('=') != std::string::npos && !word.starts_with('-'))
        refuse_usage(
            fmt::format("{} is not an option; settings of an endpoint stand in the same argument: "
                        "--listen 'ENDPOINT key=value'",
                        in_quotes(word)));
    refuse_usage(fmt::format("{} is not an option; a program to run stands behind --: {} [OPTION...] -- PROGRAM",
                             in_quotes(word), program.name));
}

/// Whether `word` is spelled as one of our options.
bool is_option(std::string_view word, const OptionTable& table) {
    if (word.starts_with("--")) return table.find(word.substr(2, word.find('=') - 2)) != nullptr;
    return word.size() == 2 && word[0] == '-' && find_option(word[1]) != nullptr;
}

/// Boost takes `--handler --workers 4` for a handler called --workers, and `-workers` for `-w orkers`.
void refuse_misread(const po::option& option, const OptionTable& table) {
    const Texts& tokens = option.original_tokens;
    if (tokens.size() == 2 && is_option(tokens[1], table))
        refuse_usage(fmt::format("--{0}: has no value, {1} is an option; if it is meant: --{0}={1}", option.string_key,
                                 printable(tokens[1])));
    if (tokens.empty() || tokens[0].starts_with("--") || tokens[0].size() <= 2) return;
    const std::string name = tokens[0].substr(1, tokens[0].find('=') - 1);
    if (table.find(name) != nullptr) refuse_usage(fmt::format("-{0} needs two dashes: --{0}", name));
}

[[noreturn]] void refuse_syntax(const po::invalid_command_line_syntax& error, const Program& program) {
    const std::string option = error.get_option_name();
    const OptionRow* row = option.starts_with("--") ? program.options.find(std::string_view{option}.substr(2))
                                                    : program.options.find(option);
    if (row == nullptr) refuse_usage(fmt::format("{}; see {} --help", printable(error.what()), program.name));
    if (!row->takes_value()) refuse_usage(fmt::format("--{0}: takes no value; write --{0}", row->name));
    refuse_usage(fmt::format("--{0}: has no value; write --{0} {1}", row->name, row->argument));
}

Source read_command_line(const po::options_description& description, const Texts& words, const Program& program) {
    using namespace po::command_line_style;
    try {
        po::command_line_parser parser{words};
        Source source{parser.options(description).style(unix_style & ~allow_guessing).allow_unregistered().run()};
        for (const po::option& option : source.parsed.options) {
            if (option.unregistered) refuse_unknown(option, program);
            if (option.position_key != -1) refuse_word(option.original_tokens.front(), program);
            refuse_misread(option, program.options);
        }
        source.origins.assign(source.parsed.options.size(), Origin{.kind = Origin::Kind::CommandLine});
        return source;
    } catch (const po::invalid_command_line_syntax& error) { refuse_syntax(error, program); }
}

// --- The environment ---

void add_lines(Source& source, const OptionRow& row, std::string_view lines, const Origin& origin) {
    while (!lines.empty()) {
        const std::string_view line = take_until(lines, '\n');
        if (line.find_first_not_of(" \t\r") != std::string_view::npos) source.add(row, std::string{line}, origin);
    }
}

std::string unknown_variable(std::string_view variable, std::string_view name, const Program& program) {
    const std::string_view nearest = nearest_of(program, name);
    const OptionRow* row = nearest.empty() ? nullptr : program.options.find(nearest);
    if (row == nullptr || !row->takes_value())
        return fmt::format("{} is not an option of {}, ignored", printable(variable), program.name);
    return fmt::format("{} is not an option of {}, ignored; did you mean {}?", printable(variable), program.name,
                       environment_name(*row));
}

Source read_environment(const po::options_description& description, const Texts& environment, Texts& warnings,
                        const Program& program) {
    constexpr std::string_view prefix = "PREFORKD_";
    Source source{po::parsed_options{&description}};
    std::set<std::string_view> seen;
    for (const std::string_view entry : environment) {
        const std::size_t equals = entry.find('=');
        const std::string_view variable = entry.substr(0, equals);
        // Of a variable that is there twice, getenv(3) finds the first.
        if (equals == std::string_view::npos || !variable.starts_with(prefix) || !seen.insert(variable).second)
            continue;
        const auto table = program.options.rows();
        const auto row = std::find_if(table.begin(), table.end(), [&](const OptionRow& each) {
            return each.takes_value() && environment_name(each) == variable;
        });
        const std::string_view value = entry.substr(equals + 1);
        const Origin origin{.kind = Origin::Kind::Environment, .place = std::string{variable}};
        if (row == table.end())
            warnings.push_back(unknown_variable(variable, variable.substr(prefix.size()), program));
        else if (row->repeatable)
            add_lines(source, *row, value, origin);
        else if (!value.empty())
            source.add(*row, std::string{value}, origin);
    }
    return source;
}

// --- The file ---

void add(Source& source, const ListenSection& section) {
    source.add(*find_option("listen"), section.finish(), section.origin());
}

Source read_file(const po::options_description& description, const std::string& text, const std::string& file,
                 const Program& program) {
    Source source{po::parsed_options{&description}};
    std::map<std::string_view, std::size_t> given_in;  // the number of the last file
    std::optional<ListenSection> section;
    std::size_t of_file = 0;
    for (ConfigLine& line : parse_config(text, file)) {
        if (section && (line.is_section || line.file != of_file)) {
            add(source, *section);
            section.reset();
        }
        of_file = line.file;
        if (line.is_section) {
            section.emplace(line);
            continue;
        }
        if (section) {
            section->read(line);
            continue;
        }
        const OptionRow* row = program.options.find(line.name);
        if (row != nullptr && row->in_file()) {
            const Origin origin{.kind = Origin::Kind::File, .place = std::move(line.place)};
            const auto [before, is_first] = given_in.try_emplace(row->name, line.file);
            const bool forgets = row->repeatable && line.value.empty();
            const bool replaces = !row->repeatable && !is_first && before->second != line.file;
            if (forgets || replaces) source.forget(*row);
            if (!forgets) source.add(*row, std::move(line.value), origin);
            before->second = line.file;
            continue;
        }
        const std::string_view nearest = row == nullptr ? nearest_of(program, line.name) : std::string_view{};
        const std::string reason =
            row != nullptr    ? fmt::format("{} belongs on the command line: --{}", row->name, row->name)
            : nearest.empty() ? fmt::format("unknown option {}; see {} --help", in_quotes(line.name), program.name)
                              : fmt::format("unknown option {}; did you mean {}?", in_quotes(line.name), nearest);
        throw OperatorError{ExitCode::Configuration, fmt::format("{}: {}", line.place, reason)};
    }
    if (section) add(source, *section);
    return source;
}

// --- All together ---

/// Stores the values of `source` that nothing before it has given.  Bad ones are refused even where they are outvoted:
/// a file that --check-config calls good is good without the command line, too.
void store(po::variables_map& values, const Source& source, Origins& origins, const OptionTable& table) {
    Settings scratch;
    Origins own;
    for (std::size_t i = 0; i < source.origins.size(); ++i) {
        const po::option& option = source.parsed.options[i];
        const OptionRow& row = *table.find(option.string_key);
        auto& before = own[option.string_key];
        if (!before.empty() && !row.repeatable)
            blame(source.origins[i], row.name,
                  before.front().kind == Origin::Kind::File
                      ? fmt::format("already set in {}; keep one", before.front().place)
                      : "given twice; keep one");
        if (row.takes_value()) read_value(scratch, row, option.value.front(), source.origins[i]);
        before.push_back(source.origins[i]);
    }
    for (auto& [name, places] : own)
        if (table.find(name)->takes_value() && values.count(name) == 0) origins[name] = std::move(places);
    po::store(source.parsed, values);
}

/// What the command line asks for; Help before all others, whatever else stands there.
Task task_of(const Source& command_line) {
    const auto asked = [&](std::string_view name) {
        const auto& options = command_line.parsed.options;
        return std::any_of(options.begin(), options.end(),
                           [&](const po::option& option) { return option.string_key == name; });
    };
    if (asked("help")) return Task::Help;
    if (asked("version")) return Task::Version;
    if (asked("list-handlers")) return Task::ListHandlers;
    if (asked("print-config")) return Task::PrintConfig;
    if (asked("check-config")) return Task::CheckConfig;
    return Task::Serve;
}

bool needs_settings(Task task) {
    switch (task) {
        case Task::Help:
        case Task::Version:
        case Task::ListHandlers: return false;
        case Task::Serve:
        case Task::CheckConfig:
        case Task::PrintConfig: return true;
    }
    return true;
}

Settings to_settings(const po::variables_map& values, const Origins& origins, const OptionTable& table) {
    Settings settings;
    for (const auto& [name, places] : origins) {
        const Texts& texts = values[name].as<Texts>();
        for (std::size_t i = 0; i < texts.size(); ++i) read_value(settings, *table.find(name), texts[i], places[i]);
    }
    if (settings.listen.empty()) settings.listen = {parse_listen(default_endpoint)};
    return settings;
}

/// In the environment it is ignored, as any variable that says nothing to this program.
void refuse_greeting(Invocation& invocation, const Program& program) {
    const Origin& origin = invocation.origins.at("greeting").front();
    if (origin.kind != Origin::Kind::Environment)
        blame(origin, "greeting",
              fmt::format("is for the handler greet, which {} has not; leave it away", program.name));
    invocation.warnings.push_back(fmt::format("{} is not an option of {}, ignored", origin.place, program.name));
    invocation.origins.erase("greeting");
}

/// An endpoint on the command line or in the environment stands in the place of all in the file.
void say_what_is_replaced(const Source& in_file, Invocation& invocation) {
    Texts places;
    for (std::size_t i = 0; i < in_file.origins.size(); ++i)
        if (in_file.parsed.options[i].string_key == "listen") places.push_back(in_file.origins[i].place);
    if (places.empty()) return;
    invocation.notices.push_back(fmt::format("{} replaces the endpoints at {}",
                                             name_at(origin_of(invocation.origins, "listen"), "listen"),
                                             fmt::join(places, ", ")));
}

Texts options_in(const Texts& arguments) {
    return {arguments.begin(), std::find(arguments.begin(), arguments.end(), "--")};
}

}  // namespace

std::optional<ConfigFile> config_file_of(const Texts& arguments, const Texts& environment, const Program& program) {
    const po::options_description description = describe_options(program.options);
    const Source command_line = read_command_line(description, options_in(arguments), program);
    if (!needs_settings(task_of(command_line))) return std::nullopt;
    Texts warnings;
    po::variables_map values;
    Origins origins;
    store(values, command_line, origins, program.options);
    store(values, read_environment(description, environment, warnings, program), origins, program.options);
    if (values.count("config") == 0) return std::nullopt;
    return ConfigFile{values["config"].as<Texts>().front(), origin_of(origins, "config")};
}

Invocation read_options(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                        const Program& program, const std::optional<std::string>& config_text) {
    const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
    const po::options_description description = describe_options(program.options);
    const Source command_line = read_command_line(description, Texts(arguments.begin(), dashes), program);

    Invocation invocation{.task = task_of(command_line)};
    invocation.settings.listen = {parse_listen(default_endpoint)};
    if (!needs_settings(invocation.task)) return invocation;

    po::variables_map values;
    store(values, command_line, invocation.origins, program.options);
    store(values, read_environment(description, environment, invocation.warnings, program), invocation.origins,
          program.options);
    std::string& file = invocation.config_file;
    if (values.count("config") != 0) {
        file = values["config"].as<Texts>().front();
        invocation.config_text =
            config_text ? *config_text : read_config({file, origin_of(invocation.origins, "config")});
        const Source in_file = read_file(description, *invocation.config_text, file, program);
        if (values.count("listen") != 0) say_what_is_replaced(in_file, invocation);
        store(values, in_file, invocation.origins, program.options);
    }
    invocation.settings = to_settings(values, invocation.origins, program.options);

    if (dashes != arguments.end()) {
        invocation.settings.program.assign(dashes + 1, arguments.end());
        if (invocation.settings.program.empty() || invocation.settings.program.front().empty())
            refuse_usage("no program stands behind --; write -- PROGRAM [ARG...], or leave the -- away");
        invocation.origins["program"] = {Origin{.kind = Origin::Kind::CommandLine, .place = "--"}};
    }
    if (invocation.settings.program.empty() && !invocation.origins.contains("handler"))
        invocation.settings.handler = program.handler;
    if (!program.greets && invocation.origins.contains("greeting")) refuse_greeting(invocation, program);
    std::ranges::move(idle_options(invocation.settings, invocation.origins), std::back_inserter(invocation.warnings));
    if (invocation.task == Task::PrintConfig)
        invocation.printed_config = print_config(invocation.settings, invocation.origins, file, program);
    return invocation;
}

}  // namespace preforkd
