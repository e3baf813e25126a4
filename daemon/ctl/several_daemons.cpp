#include "daemon/ctl/several_daemons.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>

#include "daemon/ctl/control_line.hpp"
#include "daemon/ctl/output.hpp"
#include "daemon/ctl/status_table.hpp"

namespace preforkd {
namespace {

namespace json = boost::json;

/// A service and a daemon by hand may have one name.
std::string option_for(const FoundDaemon& daemon, const std::vector<FoundDaemon>& all) {
    return std::ranges::count(all, daemon.name, &FoundDaemon::name) == 1 ? "-i " + daemon.name
                                                                         : "--control " + to_string(daemon.control);
}

[[noreturn]] void refuse(const std::vector<FoundDaemon>& daemons) {
    std::vector<std::string> options;
    for (const FoundDaemon& each : daemons) options.push_back(option_for(each, daemons));
    throw std::runtime_error{
        fmt::format("{} daemons run; say which is meant: {}", daemons.size(), fmt::join(options, ", "))};
}

/// One that does not answer keeps nobody from hearing the others.
ControlAnswer ask(const ControlOrder& order, const FoundDaemon& daemon) {
    try {
        return ControlLine{daemon.control, order.timeout}.ask(order.request);
    } catch (const std::runtime_error& error) { return {.outcome = {.ok = false, .sentence = error.what()}}; }
}

std::string json_line(const FoundDaemon& daemon, const ControlAnswer& answer) {
    json::object object{{"name", daemon.name}, {"control", to_string(daemon.control)}};
    if (answer.outcome.ok)
        object["status"] = json::parse(answer.status);
    else
        object["error"] = answer.outcome.sentence;
    return json::serialize(object) + '\n';
}

std::string text_of(const ControlOrder& order, const std::vector<FoundDaemon>& daemons,
                    const std::vector<ControlAnswer>& answers) {
    std::string lines;
    std::vector<NamedStatus> rows;
    for (std::size_t i = 0; i < daemons.size(); ++i) {
        const auto& [name, control] = daemons[i];
        const Outcome& outcome = answers[i].outcome;
        if (order.request.command == ControlCommand::Ready || (!order.json && !outcome.ok))
            lines += fmt::format("{}: {}\n", name, outcome.sentence);
        else if (order.json)
            lines += json_line(daemons[i], answers[i]);
        else
            rows.push_back({.name = name, .control = to_string(control), .report = parse_status(answers[i].status)});
    }
    return rows.empty() ? lines : lines + status_text(rows, terminal_columns());
}

}  // namespace

Endpoint the_daemon_of(const ControlOrder& order) {
    const std::vector<FoundDaemon> daemons = daemons_of(order);
    if (daemons.size() > 1) refuse(daemons);
    return daemons.front().control;
}

void ask_several(const ControlOrder& order, const std::vector<FoundDaemon>& daemons) {
    const bool asks_status = order.request.command == ControlCommand::Status && !order.watch;
    if (!asks_status && order.request.command != ControlCommand::Ready) refuse(daemons);
    std::vector<ControlAnswer> answers;
    for (const FoundDaemon& each : daemons) answers.push_back(ask(order, each));
    print(harmless(text_of(order, daemons, answers), order.json));
    if (!std::ranges::all_of(answers, [](const ControlAnswer& each) { return each.outcome.ok; }))
        throw std::runtime_error{asks_status ? "not all of them have answered" : "not all of them are ready"};
}

}  // namespace preforkd
