#include "daemon/ctl/ctl.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/version.hpp"
#include "common/process/descriptors.hpp"
#include "daemon/ctl/certificate_making.hpp"
#include "daemon/ctl/ctl_options.hpp"
#include "daemon/ctl/output.hpp"

namespace preforkd {

namespace {

constexpr int failed = 1;
constexpr int usage_error = 64;  // EX_USAGE, sysexits.h

void run(const std::vector<std::string>& arguments) {
    const CommandLine line = parse_command_line(arguments);
    switch (line.task) {
        case CommandLine::Task::Help: return print(ctl_help(line.command));
        case CommandLine::Task::Version: return print(fmt::format("preforkctl {}\n", version()));
        case CommandLine::Task::Command: break;
    }
    if (line.command->name == "send") return send(read_send_request(line), SendChannels{});
    if (line.command->name == "certificate") return make_certificate(read_certificate_order(line));
    control(read_control_order(line));
}

}  // namespace

int run_ctl(int argc, char** argv) noexcept {
    try {
        open_standard_descriptors();
        run({argv + std::min(argc, 1), argv + argc});
        return 0;
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "preforkctl: %s\n", harmless(error.what()).c_str());
        return usage_error;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "preforkctl: %s\n", harmless(error.what()).c_str());
        return failed;
    }
}

}  // namespace preforkd
