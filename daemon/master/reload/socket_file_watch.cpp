#include "daemon/master/reload/socket_file_watch.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/net/socket_address.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto settling = 1s;
constexpr auto binding_period = 5s;  // of what could not be bound again

/// A file that is unlinked while its socket is bound lives on: its link count changes (IN_ATTRIB), it is not deleted.
/// Of the directory only its own fate matters, so a busy /tmp wakes nobody.
bool watch(int inotify, const std::string& path) {
    const auto directory = std::filesystem::path{path}.parent_path();
    return ::inotify_add_watch(inotify, path.c_str(), IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_DONT_FOLLOW) !=
               -1 &&
           ::inotify_add_watch(inotify, directory.c_str(), IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR) != -1;
}

/// What keeps it from being bound again; empty: nothing.
std::string obstacle_to(const Listener& listener) {
    const std::filesystem::path directory = std::filesystem::path{listener.local.path}.parent_path();
    std::error_code unknown;
    if (!std::filesystem::is_directory(directory, unknown))
        return fmt::format("its directory is gone; make {} again, or take the listener out of the settings",
                           directory.native());
    const PathOccupant occupant = occupant_of(resolve(listener.local).at(0));
    if (occupant == PathOccupant::Nothing || occupant == PathOccupant::StaleSocket) return {};
    return "its file was replaced, and what is there now is left alone; remove that, or take the listener out of the "
           "settings";
}

}  // namespace

void SocketFileWatch::follow(const std::vector<SocketFile>& files, Clock::time_point now) {
    if (inotify_) events_.remove(inotify_.get());
    inotify_ = {};
    for (const auto& [path, identity] : files) {
        if (!inotify_) {
            inotify_ = UniqueFd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
            if (inotify_) events_.watch(inotify_.get(), socket_files_key);
        }
        // ENOENT: it is gone already, which the look below finds.
        if ((!inotify_ || !watch(inotify_.get(), path)) && errno != ENOENT)
            log(LogLevel::Warning,
                fmt::format("cannot watch the socket file {}: {}; should it be removed, reload to bind it again", path,
                            std::strerror(errno)));
        if (!is_socket_at(path, identity)) hear(now);
    }
}

void SocketFileWatch::hear(Clock::time_point now) {
    alignas(inotify_event) std::array<char, 4096> events{};
    while (::read(inotify_.get(), events.data(), events.size()) > 0) {}
    if (!look_at_) look_at_ = now + settling;
}

bool SocketFileWatch::is_time_to_look(Clock::time_point now) noexcept {
    if (!has_passed(look_at_, now)) return false;
    look_at_.reset();
    return true;
}

bool SocketFileWatch::should_bind_again(const std::vector<const Listener*>& listeners, Clock::time_point now) {
    bool any_lost = false;
    std::string obstacle;
    for (const Listener* const listener : listeners) {
        if (!has_lost_its_file(*listener)) continue;
        any_lost = true;
        if (obstacle = obstacle_to(*listener); obstacle.empty()) continue;
        if (!std::exchange(told_, true))
            log(LogLevel::Warning, "clients cannot reach {endpoint}: {obstacle}",
                {{"endpoint", to_string(listener->local)}, {"obstacle", obstacle}});
        break;
    }
    if (any_lost)
        look_at_ = earlier(look_at_, now + binding_period);  // binding may fail, too
    else
        told_ = false;
    return any_lost && obstacle.empty();
}

}  // namespace preforkd
