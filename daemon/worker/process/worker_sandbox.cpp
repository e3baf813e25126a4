#include "daemon/worker/process/worker_sandbox.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/own_memory.hpp"
#include "common/process/sandbox.hpp"

namespace preforkd {

namespace {

/// As the command line and the shell mean it: --chdir comes later.
std::string absolute(const std::string& path) { return std::filesystem::absolute(path).native(); }

/// As for the loader and a shell, a handler with a slash is a file.
bool is_file(const std::string& handler) { return handler.find('/') != handler.npos; }

std::vector<std::string> shared_objects_of(const Settings& settings) {
    std::vector<std::string> found;
    const auto note = [&found](const std::string& handler) {
        if (is_file(handler)) found.push_back(absolute(handler));
    };
    if (settings.program.empty()) note(settings.handler);
    for (const ListenSettings& listen : settings.listen) note(listen.handler);
    return found;
}

std::vector<AllowedPath> named_paths(const Settings& settings) {
    std::vector<AllowedPath> paths;
    for (const std::string& path : settings.allow_read)
        paths.push_back({.path = absolute(path), .option = "--allow-read"});
    for (const std::string& path : settings.allow_write)
        paths.push_back({.path = absolute(path), .written = true, .option = "--allow-write"});
    return paths;
}

/// What is not named but cannot be done without.
void add_own_needs(std::vector<AllowedPath>& paths, const std::vector<std::string>& loaded) {
    paths.push_back({.path = "/proc/self", .in_proc = true});     // its memory, its descriptors, whether a thread hangs
    paths.push_back({.path = "/sys/devices/system/cpu/online"});  // malloc(3): in how many parts threads share memory
    if (loaded.empty()) return;
    for (const std::string& file : loaded) paths.push_back({.path = file});
    // Where the loader looks.  Source: ld.so(8)
    for (const char* const place :
         {"/etc/ld.so.cache", "/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib"})
        paths.push_back({.path = place});
}

}  // namespace

std::shared_ptr<const Sandbox> make_sandbox(const Settings& settings, const SandboxUser& user) {
    Sandbox::Wanted wanted{.parts = sandbox_parts(settings.sandbox, {.starts_programs = starts_programs(settings)},
                                                  settings.sandbox_programs),
                           .immovable = own_memory()};
    if (wanted.parts.files) {
        std::vector<std::string> loaded = shared_objects_of(settings);
        for (const auto& [name, file] : user.program_files) loaded.push_back(file);
        wanted.files = named_paths(settings);
        add_own_needs(wanted.files, loaded);
        wanted.needs = {.model = user.model, .writes_files = !settings.allow_write.empty() || user.is_trial};
    }
    return std::make_shared<const Sandbox>(std::move(wanted));
}

void check_allowed_paths(const Settings& settings) {
    for (const AllowedPath& each : named_paths(settings)) {
        const UniqueFd path{::open(each.path.c_str(), O_PATH | O_CLOEXEC)};
        if (!path)
            throw OperatorError{ExitCode::Configuration, each.option + ' ' + printable(each.path) + ": " +
                                                             std::strerror(errno) + "; name what is there"};
    }
}

}  // namespace preforkd
