#include "common/control/control_protocol.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>
#include <vector>

#include "common/base/nearest_name.hpp"
#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument{sentence}; }

ControlCommand command_called(std::string_view name) {
    const auto found = std::ranges::find(control_command_names, name);
    if (found != control_command_names.end()) return static_cast<ControlCommand>(found - control_command_names.begin());
    if (const auto nearest = nearest_name(name, control_command_names))
        refuse(fmt::format("unknown command {}; did you mean {}?", in_quotes(name), *nearest));
    refuse(fmt::format("unknown command {}; there are {}", in_quotes(name), fmt::join(control_command_names, ", ")));
}

int checked_workers(std::int64_t workers) {
    if (workers < 1 || workers > most_workers)
        refuse(fmt::format("workers: expected a number from 1 to {}, not {}", most_workers, workers));
    return static_cast<int>(workers);
}

std::int64_t read_integer(std::string_view word) {
    if (const auto number = parse_number<std::int64_t>(word)) return *number;
    refuse(fmt::format("workers: expected a number from 1 to {}, not {}", most_workers, in_quotes(word)));
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    constexpr std::string_view blanks = " \t\r\n";
    for (std::size_t begin = line.find_first_not_of(blanks); begin != line.npos;) {
        const std::size_t end = std::min(line.find_first_of(blanks, begin), line.size());
        words.push_back(line.substr(begin, end - begin));
        begin = line.find_first_not_of(blanks, end);
    }
    return words;
}

ControlRequest parse_words(std::string_view line) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty()) refuse(fmt::format("say a command: {}", fmt::join(control_command_names, ", ")));
    ControlRequest request{.command = command_called(words[0])};
    std::size_t used = 1;
    if (request.command == ControlCommand::Workers) {
        if (words.size() == 1) refuse("workers: say how many: workers 4");
        request.workers = checked_workers(read_integer(words[used++]));
    }
    if (request.command == ControlCommand::Reload && words.size() > 1 && words[1] == "--force") {
        request.force = true;
        ++used;
    }
    if (used < words.size()) refuse(fmt::format("{} is one word too many", in_quotes(words[used])));
    return request;
}

void read_field(ControlRequest& request, std::string_view name, const json::value& value) {
    if (name == "command") return;
    if (name == "workers" && request.command == ControlCommand::Workers) {
        if (!value.is_int64()) refuse(fmt::format("workers: expected a number from 1 to {}", most_workers));
        request.workers = checked_workers(value.get_int64());
    } else if (name == "force" && request.command == ControlCommand::Reload) {
        if (!value.is_bool()) refuse("force: expected true or false");
        request.force = value.get_bool();
    } else {
        refuse(fmt::format("{} does not go with this command", in_quotes(name)));
    }
}

ControlRequest parse_object(std::string_view line) {
    json::error_code error;
    const json::value parsed = json::parse(line, error);
    if (error) refuse(fmt::format("this is not a JSON object: {}", error.message()));
    const json::object& object = parsed.as_object();
    const json::value* command = object.if_contains("command");
    if (command == nullptr) refuse(R"("command" is missing: {"command":"status"})");
    if (!command->is_string()) refuse(R"("command" must be a string: {"command":"status"})");
    ControlRequest request{.command = command_called(command->get_string())};
    for (const auto& [name, value] : object) read_field(request, name, value);
    if (request.command == ControlCommand::Workers && request.workers == 0)
        refuse(R"(workers: say how many: {"command":"workers","workers":4})");
    return request;
}

}  // namespace

ControlRequest parse_control_request(std::string_view line) {
    const std::size_t first = line.find_first_not_of(" \t");
    return first != line.npos && line[first] == '{' ? parse_object(line) : parse_words(line);
}

std::string to_json(const ControlRequest& request) {
    json::object object{{"command", control_command_names.at(static_cast<std::size_t>(request.command))}};
    if (request.command == ControlCommand::Workers) object["workers"] = request.workers;
    if (request.force) object["force"] = true;
    return json::serialize(object);
}

std::string answer_line(const Outcome& outcome) {
    const std::string_view name = outcome.ok ? "message" : "error";
    return json::serialize(json::object{{"ok", outcome.ok}, {name, outcome.sentence}}) + '\n';
}

std::string answer_line(std::string_view name, std::string_view json) {
    return fmt::format("{{\"ok\":true,\"{}\":{}}}\n", name, json);
}

std::string farewell_line() {
    return json::serialize(json::object{{"ok", false}, {"error", has_stopped}, {"stopped", true}}) + '\n';
}

ControlAnswer parse_control_answer(std::string_view line) {
    json::error_code error;
    const json::value parsed = json::parse(line, error);
    const json::object* object = error ? nullptr : parsed.if_object();
    const json::value* ok = object != nullptr ? object->if_contains("ok") : nullptr;
    if (ok == nullptr || !ok->is_bool()) throw std::runtime_error{"the answer is not from preforkd"};
    ControlAnswer answer{.outcome = {.ok = ok->get_bool()}};
    const json::value* sentence = object->if_contains(answer.outcome.ok ? "message" : "error");
    if (sentence != nullptr && sentence->is_string()) answer.outcome.sentence = sentence->get_string();
    if (const json::value* stopped = object->if_contains("stopped"))
        answer.stopped = stopped->is_bool() && stopped->get_bool();
    if (const json::value* status = object->if_contains("status")) answer.status = json::serialize(*status);
    if (const json::value* deaths = object->if_contains("deaths")) answer.deaths = json::serialize(*deaths);
    if (const json::value* sources = object->if_contains("sources")) answer.sources = json::serialize(*sources);
    return answer;
}

}  // namespace preforkd
