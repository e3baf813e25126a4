#include "daemon/master/socket_file_watch.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/socket_address.hpp"
#include "common/socket_takeover.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto settling = 1s;

/// A file that is unlinked while its socket is bound lives on: its link count changes (IN_ATTRIB), it is not deleted.
/// Of the directory only its own fate matters, so a busy /tmp wakes nobody.
bool watch(int inotify, const std::string& path) {
    const auto directory = std::filesystem::path{path}.parent_path();
    return ::inotify_add_watch(inotify, path.c_str(), IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_DONT_FOLLOW) !=
               -1 &&
           ::inotify_add_watch(inotify, directory.c_str(), IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR) != -1;
}

bool is_free(const Listener& listener) {
    const PathOccupant occupant = occupant_of(resolve(listener.local).at(0));
    return occupant == PathOccupant::Nothing || occupant == PathOccupant::StaleSocket;
}

}  // namespace

void SocketFileWatch::follow(const std::vector<SocketFile>& files, Clock::time_point now) {
    if (inotify_) events_.forget(inotify_.get());
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

bool should_bind_again(const std::vector<Listener>& listeners) {
    std::vector<const Listener*> lost;
    for (const Listener& listener : listeners)
        if (has_lost_its_file(listener)) lost.push_back(&listener);
    const auto taken = std::ranges::find_if_not(lost, [](const Listener* each) { return is_free(*each); });
    if (taken == lost.end()) return !lost.empty();
    log(LogLevel::Warning,
        "no client finds {endpoint} any more: its file was replaced, and what is there now is left alone; remove that "
        "and reload, or take the listener out of the settings",
        {{"endpoint", to_string((*taken)->local)}});
    return false;
}

}  // namespace preforkd
