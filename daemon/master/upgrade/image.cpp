#include "daemon/master/upgrade/image.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <system_error>

#include "common/base/sys_error.hpp"
#include "common/base/take_until.hpp"
#include "common/base/text_pointers.hpp"
#include "common/process/descriptors.hpp"
#include "daemon/master/upgrade/rehearsal_channel.hpp"

namespace preforkd {
namespace {

constexpr const char* own_image = "/proc/self/exe";
constexpr std::string_view variable = "_PREFORKD_HANDOVER";  // not PREFORKD_*: those are the operator's

void set_close_on_exec(int fd, bool on) noexcept { ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0); }

UniqueFd write_handover(const Handover& handover) {
    UniqueFd file{check(::memfd_create("preforkd-handover", MFD_CLOEXEC), "create a handover")};
    const std::string text = to_text(handover);
    for (std::size_t done = 0; done < text.size();)
        done += static_cast<std::size_t>(
            check(static_cast<int>(::write(file.get(), text.data() + done, text.size() - done)), "write a handover"));
    return file;
}

std::string read_all(int fd) {
    struct stat file {};
    check(::fstat(fd, &file), "read a handover");
    std::string text(static_cast<std::size_t>(file.st_size), '\0');
    const ssize_t size = check(static_cast<int>(::pread(fd, text.data(), text.size(), 0)), "read a handover");
    text.resize(static_cast<std::size_t>(size));
    return text;
}

bool is_socket(int fd) noexcept {
    struct stat file {};
    return ::fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode);
}

Handover receive_handover(int channel) {
    write_packet(channel, to_hello(known_formats));
    std::vector<UniqueFd> passed = receive_descriptors(channel);
    Handover handover = parse_handover(read_all(passed.front().get()));
    const std::vector<int*> named = descriptors_of(handover);
    if (named.size() + 1 != passed.size()) throw std::runtime_error{"not understood: other descriptors than it names"};
    for (std::size_t i = 0; i < named.size(); ++i) *named[i] = passed[i + 1].release();
    return handover;
}

/// With `kept` open, the first of which the new image is told of.  Returns only errno.
int execute(int image, const Launch& launch, const std::vector<int>& kept) {
    std::vector<std::string> arguments = launch.arguments;
    std::vector<std::string> environment = launch.environment;
    environment.push_back(std::string{variable} + '=' + std::to_string(kept.front()));
    const std::vector<char*> argv = pointers_to(arguments);
    const std::vector<char*> envp = pointers_to(environment);
    for (const int fd : kept) set_close_on_exec(fd, false);
    if (image >= 0)
        ::fexecve(image, argv.data(), envp.data());
    else
        ::execve(launch.executable.c_str(), argv.data(), envp.data());
    const int error = errno;
    for (const int fd : kept) set_close_on_exec(fd, true);
    return error;
}

/// The working directory as the shell names it: its path may lead over a symbolic link, which may lead elsewhere
/// tomorrow.  Source: pwd(1), -L.
std::filesystem::path named_directory() {
    const char* const said = std::getenv("PWD");
    std::error_code ignored;
    if (said != nullptr && *said == '/' && std::filesystem::equivalent(said, ".", ignored)) return said;
    return std::filesystem::current_path(ignored);
}

/// What `argv0` may name, absolute and with its symbolic links: one path, or as a shell looks for a command.
std::vector<std::filesystem::path> candidates_for(const std::string& argv0) {
    std::vector<std::filesystem::path> candidates;
    const auto add = [&, directory = named_directory()](std::string_view entry) {
        const std::filesystem::path path = directory / entry / argv0;
        candidates.push_back(path.lexically_normal());
        candidates.push_back(path);  // `..` behind a symbolic link is not what stands before it
    };
    const char* const path = std::getenv("PATH");
    std::string_view left = path != nullptr ? path : "";
    if (argv0.find('/') != argv0.npos) left = ".";
    while (!left.empty()) add(take_until(left, ':'));  // an empty one is the working directory
    return candidates;
}

}  // namespace

std::string find_executable(const std::string& argv0) {
    std::error_code ignored;
    for (const std::filesystem::path& candidate : candidates_for(argv0))
        if (std::filesystem::equivalent(candidate, own_image, ignored)) return candidate;
    std::string file = std::filesystem::read_symlink(own_image, ignored);
    // Replaced since it was executed: the new one stands where it was.
    constexpr std::string_view deleted = " (deleted)";
    if (file.ends_with(deleted) && !std::filesystem::exists(file, ignored)) file.resize(file.size() - deleted.size());
    return file;
}

std::string own_file() {
    std::error_code ignored;
    return std::filesystem::read_symlink(own_image, ignored);
}

bool is_own_file(int image) noexcept {
    struct stat other {};
    struct stat own {};
    return ::fstat(image, &other) == 0 && ::stat(own_image, &own) == 0 && other.st_dev == own.st_dev &&
           other.st_ino == own.st_ino;
}

UniqueFd open_own_image() {
    return UniqueFd{check(::open(own_image, O_PATH | O_CLOEXEC), "open this program's own file")};
}

std::shared_ptr<RotatingTicketKeys> ticket_keys_of(const Handover& handover) {
    // An image before knew no TLS.
    if (handover.ticket_keys.empty()) return std::make_shared<RotatingTicketKeys>();
    return std::make_shared<RotatingTicketKeys>(handover.ticket_keys);
}

Launch launch_of(const Handover& handover) {
    return {.arguments = handover.arguments,
            .environment = handover.environment,
            .executable = handover.executable,
            .descriptor_limit = handover.descriptor_limit,
            .ticket_keys = ticket_keys_of(handover)};
}

std::vector<std::string> lasting_environment(const std::vector<std::string>& environment) {
    std::vector<std::string> lasting;
    for (const std::string& line : environment)
        if (!line.starts_with("LISTEN_") && !line.starts_with(variable)) lasting.push_back(line);
    return lasting;
}

std::optional<Handover> take_handover(int& report) {
    const char* const number = std::getenv(variable.data());
    if (number == nullptr) return std::nullopt;
    UniqueFd file{std::atoi(number)};
    ::unsetenv(variable.data());
    if (is_socket(file.get())) {
        report = file.release();  // for as long as this process lives
        set_close_on_exec(report, true);
        return receive_handover(report);
    }
    Handover handover = parse_handover(read_all(file.get()));
    if (handover.purpose == Handover::Purpose::Rehearsal) report = handover.report;
    for (const int* fd : descriptors_of(handover)) set_close_on_exec(*fd, true);
    return handover;
}

Handover duplicate(const Handover& handover) {
    Handover copy = handover;
    for (int* fd : descriptors_of(copy)) *fd = check(::fcntl(*fd, F_DUPFD_CLOEXEC, 3), "duplicate a descriptor");
    return copy;
}

void close_descriptors(Handover& handover) noexcept {
    for (int* fd : descriptors_of(handover)) {
        ::close(*fd);
        *fd = -1;
    }
}

void send_handover(int channel, Handover& handover) {
    const UniqueFd file = write_handover(handover);
    std::vector<int> descriptors{file.get()};
    for (const int* fd : descriptors_of(handover)) descriptors.push_back(*fd);
    send_descriptors(channel, descriptors);
}

int become_rehearsal(const Launch& launch, int channel) {
    close_all_descriptors_except(std::span{&channel, 1});
    return execute(-1, launch, {channel});
}

int become(int image, const Launch& launch, Handover& handover) noexcept {
    try {
        const UniqueFd file = write_handover(handover);
        std::vector<int> kept{file.get()};
        for (const int* fd : descriptors_of(handover)) kept.push_back(*fd);
        return execute(image, launch, kept);
    } catch (const std::system_error& error) { return error.code().value(); } catch (const std::exception&) {
        return ENOMEM;
    }
}

}  // namespace preforkd
