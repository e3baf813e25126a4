#include "daemon/ctl/control_order.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "common/config/control_endpoint.hpp"
#include "daemon/ctl/control_line.hpp"
#include "daemon/ctl/find_daemons.hpp"
#include "daemon/ctl/output.hpp"
#include "daemon/ctl/several_daemons.hpp"
#include "daemon/ctl/status_table.hpp"

namespace preforkd {
namespace {

std::string text_of(const ControlOrder& order, const ControlAnswer& answer) {
    if (!answer.outcome.ok) throw std::runtime_error{answer.outcome.sentence};
    const std::size_t columns = terminal_columns();
    switch (order.request.command) {
        case ControlCommand::Status:
            return order.json ? answer.status + '\n' : status_text(parse_status(answer.status), columns);
        case ControlCommand::Deaths:
            return order.json ? answer.deaths + '\n' : deaths_text(parse_deaths(answer.deaths), columns);
        case ControlCommand::Sources:
            return order.json ? answer.sources + '\n' : sources_text(parse_sources(answer.sources), columns);
        case ControlCommand::Ready:
        case ControlCommand::Workers:
        case ControlCommand::Reload:
        case ControlCommand::Upgrade:
        case ControlCommand::Stop: return answer.outcome.sentence + '\n';
    }
    return {};
}

/// From the top of the terminal, each line over what was there, and nothing of the old text below.
std::string painted(const std::string& text) {
    std::string all = "\033[H";
    for (const char c : text) all += c == '\n' ? std::string{"\033[K\n"} : std::string(1, c);
    return all + "\033[J";
}

/// A stop in good order is an end in good order: what was watched has been seen to its end.
void watch(const ControlOrder& order, const Endpoint& where) {
    const bool paint = !order.json && ::isatty(STDOUT_FILENO) == 1;
    if (paint) print("\033[2J");
    for (ControlLine line{where, order.timeout};; line.pause(order.interval)) {
        const ControlAnswer answer = line.ask_again(order.request);
        if (answer.stopped) {
            std::fprintf(stderr, "preforkctl: %s\n", harmless(answer.outcome.sentence).c_str());
            return;
        }
        const std::string text = harmless(text_of(order, answer), order.json);
        print(paint ? painted(text) : order.json ? text : text + '\n');
    }
}

}  // namespace

std::optional<Endpoint> control_of(const ControlOrder& order, const char* from_environment,
                                   const char* runtime_directory) {
    if (order.control || order.instance) return order.control;
    if (from_environment != nullptr && *from_environment != '\0') {
        try {
            return parse_control_endpoint(from_environment);
        } catch (const std::invalid_argument& error) {
            throw std::invalid_argument{fmt::format("PREFORKD_CONTROL: {}", error.what())};
        }
    }
    return control_in_runtime_directory(runtime_directory);
}

std::vector<FoundDaemon> daemons_of(const ControlOrder& order) {
    const auto said = control_of(order, std::getenv("PREFORKD_CONTROL"), std::getenv("RUNTIME_DIRECTORY"));
    return said ? std::vector<FoundDaemon>{{.control = *said}}
                : find_daemons(order.instance, std::getenv("XDG_RUNTIME_DIR"));
}

void control(const ControlOrder& order) {
    const std::vector<FoundDaemon> daemons = daemons_of(order);
    if (daemons.size() > 1) return ask_several(order, daemons);
    if (order.watch) return watch(order, daemons.front().control);
    ControlLine line{daemons.front().control, order.timeout};
    print(harmless(text_of(order, line.ask(order.request)), order.json));
}

}  // namespace preforkd
