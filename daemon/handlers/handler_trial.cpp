#include "daemon/handlers/handler_trial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "common/clock.hpp"
#include "common/exit_report.hpp"
#include "common/identity.hpp"
#include "common/spawn.hpp"
#include "common/units.hpp"
#include "daemon/handlers/shared_object.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

using namespace std::chrono_literals;

// --- In the throw-away child ---

template <class Kind>
bool makes_one(const MakeHandler<Kind>& make, const HandlerOptions& options) {
    // Not destroyed: the child leaves by _exit(), and a destructor may join threads that wait for clients.
    return make && make(options).release() != nullptr;
}

/// `ok`, then a line for each fact, or `bad` and a sentence.
std::string examine(const std::string& path, const Settings& settings, const Identity& identity) {
    try {
        assume(identity);
        if (!settings.chdir.empty()) check(::chdir(settings.chdir.c_str()), "--chdir " + settings.chdir);
        const HandlerEntry entry = load_shared_object(path);
        const HandlerOptions options{.greeting = settings.greeting};
        std::ostringstream facts;
        facts << "ok\n" << static_cast<int>(entry.model) << ' ' << entry.owns_threads;
        try {
            facts << ' ' << makes_one(entry.make_stream, options) << ' ' << makes_one(entry.make_blocking, options)
                  << ' ' << makes_one(entry.make_datagram, options) << ' '
                  << makes_one(entry.make_async_datagram, options);
        } catch (const std::exception& error) {
            return std::string{"bad\nits constructor failed: "} + error.what();
        } catch (...) { return "bad\nits constructor failed with something that is no std::exception"; }
        facts << '\n' << entry.summary;
        return facts.str();
    } catch (const std::exception& error) { return std::string{"bad\n"} + error.what(); }
}

int report_from_child(int pipe, const std::string& report) {
    const std::size_t size = std::min<std::size_t>(report.size(), PIPE_BUF);  // the parent may not read before we exit
    return ::write(pipe, report.data(), size) == static_cast<ssize_t>(size) ? 0 : 1;
}

// --- In the master ---

bool readable_within(int fd, std::chrono::milliseconds patience) {
    const Deadline limit = deadline_after(Clock::now(), patience);
    for (;;) {
        const auto left = limit ? std::chrono::ceil<std::chrono::milliseconds>(*limit - Clock::now()) : -1ms;
        pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
        const int timeout = limit ? static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX)) : -1;
        const int ready = ::poll(&wanted, 1, timeout);
        if (ready >= 0) return ready > 0;
        if (errno != EINTR) throw_errno("wait for the trial of a handler");
    }
}

std::string read_all(int fd) {
    std::array<char, PIPE_BUF> room{};
    const ssize_t size = ::read(fd, room.data(), room.size());
    return {room.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

/// What the child reports.  Throws std::runtime_error with a sentence when it has nothing good to report.
std::string hold_trial(const std::string& path, const Settings& settings, const Identity& identity) {
    std::array<int, 2> ends{};
    // Non-blocking: what the library started on loading may hold the other end for ever.
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "open a pipe");
    const UniqueFd reading{ends[0]};
    UniqueFd writing{ends[1]};
    const ChildProcess child =
        spawn([&] { return report_from_child(writing.get(), examine(path, settings, identity)); });
    writing = {};

    const bool in_time = readable_within(child.pidfd(), settings.boot_timeout);
    if (!in_time) {
        child.signal(SIGKILL);
        (void)readable_within(child.pidfd(), 0ms);
    }
    const ExitReport end = child.try_reap().value();
    if (!in_time)
        throw std::runtime_error{"its constructor did not return within --boot-timeout " +
                                 to_string(settings.boot_timeout)};
    if (end != ExitReport{ExitReport::Kind::Exited, 0})
        throw std::runtime_error{"it ended a process that loaded it for a trial: " + describe(end)};
    std::string report = read_all(reading.get());
    if (report.empty()) throw std::runtime_error{"it ended a process that loaded it for a trial: " + describe(end)};
    return report;
}

HandlerEntry entry_from(const std::string& report, const std::string& name, const std::string& path) {
    std::istringstream lines{report};
    std::string verdict;
    std::getline(lines, verdict);
    if (verdict != "ok") throw std::runtime_error{report.substr(std::min(report.size(), verdict.size() + 1))};

    int model = 0;
    bool owns_threads = false;
    std::array<bool, 4> makes{};
    lines >> model >> owns_threads >> makes[0] >> makes[1] >> makes[2] >> makes[3] >> std::ws;
    std::string summary;
    std::getline(lines, summary);

    HandlerEntry entry{
        .name = name, .summary = summary, .model = static_cast<Model>(model), .owns_threads = owns_threads};
    const auto load = [path] { return load_shared_object(path); };
    if (makes[0]) entry.make_stream = [=](const HandlerOptions& options) { return load().make_stream(options); };
    if (makes[1]) entry.make_blocking = [=](const HandlerOptions& options) { return load().make_blocking(options); };
    if (makes[2]) entry.make_datagram = [=](const HandlerOptions& options) { return load().make_datagram(options); };
    if (makes[3])
        entry.make_async_datagram = [=](const HandlerOptions& options) { return load().make_async_datagram(options); };
    return entry;
}

struct Named {
    const std::string& name;
    Origin origin{};
    std::string option{};
};

/// Everywhere that the settings name a shared object.
std::vector<Named> shared_objects_in(const Settings& settings, const Origins& origins) {
    std::vector<Named> found;
    if (settings.program.empty() && is_shared_object(settings.handler))
        found.push_back({settings.handler, origin_of(origins, "handler"), "handler"});
    for (std::size_t i = 0; i < settings.listen.size(); ++i)
        if (is_shared_object(settings.listen[i].handler))
            found.push_back({settings.listen[i].handler, origin_of(origins, "listen", i), "listen"});
    return found;
}

}  // namespace

void add_shared_objects(Handlers& handlers, const Settings& settings, const Origins& origins) {
    const std::vector<Named> wanted = shared_objects_in(settings, origins);
    if (wanted.empty()) return;
    const Identity identity = look_up_identity(settings.user, settings.group);
    for (const auto& [name, origin, option] : wanted) {
        if (handlers.find(name) != nullptr) continue;
        // Workers may change their directory; and not the file behind a symbolic link, which a reload may find changed.
        const std::string path = std::filesystem::absolute(name);
        try {
            handlers.add(entry_from(hold_trial(path, settings, identity), name, path));
        } catch (const std::runtime_error& error) {
            const std::string key = option == "handler" ? "" : "handler=";
            throw OperatorError{ExitCode::Configuration,
                                fmt::format("{} {}{}: {}", name_at(origin, option), key, name, error.what())};
        }
    }
}

}  // namespace preforkd
