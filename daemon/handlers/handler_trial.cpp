#include "daemon/handlers/handler_trial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <filesystem>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "common/exit_report.hpp"
#include "common/spawn.hpp"
#include "common/units.hpp"
#include "daemon/handlers/shared_object.hpp"
#include "daemon/worker/handler_instances.hpp"

namespace preforkd {

namespace {

using namespace std::chrono_literals;

// --- In the throw-away child ---

/// `ok`, then a line for each fact, or `bad` and a sentence.
std::string examine(const std::string& path, const Settings& settings, const Identity& identity) {
    try {
        assume(identity);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // it holds the workers' channels, and so would keep them alive
        if (!settings.chdir.empty()) check(::chdir(settings.chdir.c_str()), "--chdir " + settings.chdir);
        const HandlerEntry entry = load_shared_object(path);
        // Not destroyed: the child leaves by _exit(), and a destructor may join threads that wait for clients.
        static HandlerInstances instances;
        const auto makes_one = [&settings](const auto& make) {
            return make && instances.get(make, {.greeting = settings.greeting}) != nullptr;
        };
        std::ostringstream facts;
        facts << "ok\n" << static_cast<int>(entry.model) << ' ' << entry.owns_threads;
        try {
            facts << ' ' << makes_one(entry.make_stream) << ' ' << makes_one(entry.make_blocking) << ' '
                  << makes_one(entry.make_datagram) << ' ' << makes_one(entry.make_async_datagram);
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

/// Everywhere that the settings name a shared object.
std::vector<NamedObject> shared_objects_in(const Settings& settings, const Origins& origins) {
    std::vector<NamedObject> found;
    if (settings.program.empty() && is_shared_object(settings.handler))
        found.push_back({settings.handler, origin_of(origins, "handler"), "handler"});
    for (std::size_t i = 0; i < settings.listen.size(); ++i)
        if (is_shared_object(settings.listen[i].handler))
            found.push_back({settings.listen[i].handler, origin_of(origins, "listen", i), "listen"});
    return found;
}

}  // namespace

HandlerTrial::HandlerTrial(NamedObject object, const Settings& settings, const Identity& identity)
    : object_{std::move(object)},
      // Workers may change their directory; and not the file behind a symbolic link, which a reload may find changed.
      path_{std::filesystem::absolute(object_.name)},
      patience_{settings.boot_timeout},
      deadline_{deadline_after(Clock::now(), patience_)} {
    std::array<int, 2> ends{};
    // Non-blocking: what the library started on loading may hold the other end for ever.
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "open a pipe");
    reading_ = UniqueFd{ends[0]};
    const UniqueFd writing{ends[1]};
    child_.emplace(spawn([&] { return report_from_child(writing.get(), examine(path_, settings, identity)); }));
}

bool HandlerTrial::reap(pid_t pid) {
    if (child_->pid() != pid || over()) return false;
    end_ = child_->try_reap();
    return true;
}

void HandlerTrial::mind_the_time(Clock::time_point now) {
    if (has_passed(deadline(), now)) kill();
}

void HandlerTrial::kill() {
    if (over()) return;
    killed_ = true;
    child_->signal(SIGKILL);
}

void HandlerTrial::wait() {
    if (!readable_within(child_->pidfd(), patience_)) {
        kill();
        (void)readable_within(child_->pidfd(), 0ms);
    }
    (void)reap(child_->pid());
}

/// What the child has to say.  Throws std::runtime_error with a sentence when that is nothing good.
std::string HandlerTrial::report() const {
    if (killed_)
        throw std::runtime_error{"its constructor did not return within --boot-timeout " + to_string(patience_)};
    std::string report = *end_ == ExitReport{ExitReport::Kind::Exited, 0} ? read_all(reading_.get()) : "";
    if (report.empty()) throw std::runtime_error{"it ended a process that loaded it for a trial: " + describe(*end_)};
    return report;
}

HandlerEntry HandlerTrial::entry() const {
    try {
        return entry_from(report(), object_.name, path_);
    } catch (const std::runtime_error& error) {
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("{} {}{}: {}", name_at(object_.origin, object_.option),
                                        object_.option == "handler" ? "" : "handler=", object_.name, error.what())};
    }
}

std::vector<HandlerTrial> begin_trials(const Handlers& known, const Settings& settings, const Origins& origins) {
    std::vector<HandlerTrial> trials;
    std::set<std::string> begun;
    const std::vector<NamedObject> wanted = shared_objects_in(settings, origins);
    if (wanted.empty()) return trials;
    const Identity identity = look_up_identity(settings.user, settings.group);
    try {
        for (const NamedObject& object : wanted)
            if (known.find(object.name) == nullptr && begun.insert(object.name).second)
                trials.emplace_back(object, settings, identity);
        return trials;
    } catch (const std::exception&) {
        std::ranges::for_each(trials, &HandlerTrial::kill);
        throw;
    }
}

}  // namespace preforkd
