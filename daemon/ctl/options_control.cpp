#include "daemon/ctl/options_control.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <stdexcept>

#include "common/config/control_endpoint.hpp"

namespace preforkd {
namespace {

Endpoint read_endpoint(const std::string& text) {
    try {
        return parse_control_endpoint(text);
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument{fmt::format("--control: {}", error.what())};
    }
}

/// Those whose outcome takes as long as workers take to start and clients to finish.
bool takes_its_time(ControlCommand command) {
    using enum ControlCommand;
    return command == Reload || command == Upgrade || command == Stop;
}

}  // namespace

ControlOrder read_control_order(const CommandLine& line) {
    // The words are what the daemon understands, too.
    ControlOrder order{
        .request = parse_control_request(fmt::format("{} {}", line.command->name, fmt::join(line.words, " "))),
        .json = line.has("json"),
        .watch = line.has("watch")};
    if (line.has("force")) order.request.force = true;
    if (takes_its_time(order.request.command)) order.timeout = std::chrono::minutes{5};
    if (const auto timeout = line.value("timeout")) order.timeout = read_ctl_timeout(*timeout);
    if (const auto control = line.value("control")) order.control = read_endpoint(*control);
    order.instance = line.value("instance");
    if (order.control && order.instance) throw std::invalid_argument{"--instance: contradicts --control; keep one"};
    return order;
}

}  // namespace preforkd
