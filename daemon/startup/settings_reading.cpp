#include "daemon/startup/settings_reading.hpp"

#include <exception>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "common/base/wiped_text.hpp"
#include "common/config/config_file.hpp"
#include "common/log/log_sink.hpp"
#include "common/process/identity.hpp"
#include "daemon/worker/program/program_launch.hpp"

namespace preforkd {

using std::filesystem::exists;

namespace {

/// What the programs are called, each once: the first word.
std::set<std::string> programs_of(const Settings& settings) {
    std::set<std::string> names;
    if (!settings.program.empty()) names.insert(settings.program.front());
    for (const ListenSettings& each : settings.listen)
        if (!each.program.empty()) names.insert(each.program.front());
    return names;
}

/// Whatever of `settings` is in a file system, or is asked of a name service.
void look_for_places(const Settings& settings, const ChildCall::Attempt& attempt) {
    const auto look = [&](const std::string& option, const std::string& value, const auto& how) {
        if (value.empty()) return;
        attempt(option + ' ' + value);
        try {
            how();
        } catch (const std::exception&) {}  // the answer that counts is that there is one
    };
    std::error_code ignored;
    look("--log-file", settings.log.file, [&] { look_at_file_log(settings.log.file); });
    look("--user", settings.user, [&] { (void)look_up_identity(settings.user, {}); });
    look("--group", settings.group, [&] { (void)look_up_identity({}, settings.group); });
    look("--chdir", settings.chdir, [&] { (void)std::filesystem::is_directory(settings.chdir, ignored); });
    for (const ListenSettings& listen : settings.listen)
        for (const AccessList* list : {&listen.allow, &listen.deny})
            for (const std::string& file : list->files)
                look(list == &listen.allow ? "allow=@" : "deny=@", file, [&] { (void)read_config_file(file); });
    for (const ListenSettings& listen : settings.listen) {
        const RunAs& run_as = listen.run_as;
        look("run-user=", run_as.user, [&] { (void)look_up_identity(run_as.user, {}); });
        look("run-group=", run_as.group, [&] { (void)look_up_identity({}, run_as.group); });
        look("chdir=", run_as.chdir, [&] { (void)std::filesystem::is_directory(run_as.chdir, ignored); });
    }
    for (const ListenSettings& listen : settings.listen) {
        if (!listen.tls) continue;
        const auto look_all = [&](const std::string& key, const std::vector<std::string>& files) {
            for (const std::string& file : files)
                look(key, file, [&] { const WipedText text{read_config_file(file)}; });
        };
        look_all("certificate=", listen.tls->certificates);
        if (!listen.tls->key_process) look_all("key=", listen.tls->keys);  // else they are read where they stay
        look_all("client-ca=", {listen.tls->client_ca});
        look_all("crl=", {listen.tls->crl});
        look_all("ticket-keys=", {listen.tls->ticket_keys});
        look_all("ocsp=", {listen.tls->ocsp});
    }
    for (const std::string& path : settings.allow_read)
        look("--allow-read", path, [&] { (void)exists(path, ignored); });
    for (const std::string& path : settings.allow_write)
        look("--allow-write", path, [&] { (void)exists(path, ignored); });
    for (const std::string& name : programs_of(settings)) look("program", name, [&] { (void)find_program(name); });
}

}  // namespace

std::optional<ChildCall> begin_reading_settings(const StartUp& start_up, std::chrono::milliseconds patience) {
    const auto read = [&start_up](const ChildCall::Attempt& attempt) {
        const std::vector<std::string>& words = start_up.launch.arguments;
        const auto file =
            config_file_of({words.begin() + 1, words.end()}, start_up.launch.environment, program_of(start_up));
        std::string text;
        if (file) text = read_config(*file, [&](const std::string& path) { attempt("--config " + path); });
        const Invocation invocation = read_daemon_options(start_up, text);
        if (invocation.task == Task::Serve) look_for_places(invocation.settings, attempt);
        return text;
    };
    try {
        return std::optional<ChildCall>{std::in_place, read, patience};
    } catch (const std::system_error&) { return std::nullopt; }
}

}  // namespace preforkd
