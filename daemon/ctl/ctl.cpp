#include "daemon/ctl/ctl.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/version.hpp"
#include "common/process/descriptors.hpp"
#include "daemon/ctl/certificate_making.hpp"
#include "daemon/ctl/ctl_options.hpp"
#include "daemon/ctl/explain.hpp"
#include "daemon/ctl/import/service_import.hpp"
#include "daemon/ctl/output.hpp"
#include "daemon/ctl/top.hpp"

namespace preforkd {

namespace {

constexpr int failed = 1;
// Source: sysexits.h
constexpr int usage_error = 64;      // EX_USAGE
constexpr int incomplete_data = 65;  // EX_DATAERR: something in the files has no counterpart

int obey(const CommandLine& line) {
    const std::string_view command = line.command->name;
    if (command == "explain") return explain(read_control_order(line)) ? 0 : failed;
    if (command == "import") return import_services(line) ? 0 : incomplete_data;
    if (command == "send")
        send(read_send_request(line), SendChannels{});
    else if (command == "certificate")
        make_certificate(read_certificate_order(line));
    else if (command == "top")
        top(read_control_order(line));
    else
        control(read_control_order(line));
    return 0;
}

int run(const std::vector<std::string>& arguments) {
    const CommandLine line = parse_command_line(arguments);
    switch (line.task) {
        case CommandLine::Task::Help: print(ctl_help(line.command)); break;
        case CommandLine::Task::Version: print(fmt::format("preforkctl {}\n", version())); break;
        case CommandLine::Task::Command: return obey(line);
    }
    return 0;
}

}  // namespace

int run_ctl(int argc, char** argv) noexcept {
    try {
        open_standard_descriptors();
        return run({argv + std::min(argc, 1), argv + argc});
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "preforkctl: %s\n", harmless(error.what()).c_str());
        return usage_error;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "preforkctl: %s\n", harmless(error.what()).c_str());
        return failed;
    }
}

}  // namespace preforkd
