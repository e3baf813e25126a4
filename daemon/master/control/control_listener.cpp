#include "daemon/master/control/control_listener.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <exception>
#include <stdexcept>
#include <string>

#include "common/config/control_endpoint.hpp"
#include "common/net/bind_attempt.hpp"
#include "common/net/bind_error.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"
#include "common/process/private_directory.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

constexpr unsigned for_its_owner = 0600;
constexpr int backlog = 16;

SocketAddress address_of(const ListenSettings& settings) {
    try {
        return resolve(settings.endpoint).at(0);
    } catch (const std::system_error& error) { throw resolve_error(settings, error); }
}

ListenSettings settings_at(const Endpoint& endpoint) {
    ListenSettings settings{.endpoint = endpoint};
    if (!endpoint.abstract) settings.mode = for_its_owner;
    return settings;
}

ControlListener bind_control(const Endpoint& endpoint) {
    const ListenSettings settings = settings_at(endpoint);
    const SocketAddress address = address_of(settings);
    BindAttempt attempt = try_bind(settings, address, backlog);
    if (attempt.error == EADDRINUSE) throw AddressTaken{bind_error(settings, address, attempt.error)};
    if (attempt.error != 0) throw bind_error(settings, address, attempt.error);
    return {.fd = std::move(attempt.fd), .local = endpoint, .file = attempt.file};
}

/// What binds Unix paths speaks of --listen.
std::string without_option(const std::exception& error) {
    constexpr std::string_view option = "--listen ";
    const std::string_view sentence = error.what();
    return std::string{sentence.starts_with(option) ? sentence.substr(option.size()) : sentence};
}

void say_why_without(const std::exception& error) noexcept {
    // What cannot even be read, such as a path that is too long, is not tried again.
    const bool for_good = dynamic_cast<const std::invalid_argument*>(&error) != nullptr;
    log(LogLevel::Warning, fmt::format("--control {}; going on without a control socket{}", without_option(error),
                                       for_good ? "" : " until it can be had"));
}

std::optional<ControlListener> listen_at(const std::string& place) noexcept try {
    return bind_control(parse_endpoint(place));
} catch (const std::exception& error) {
    say_why_without(error);
    return std::nullopt;
}

/// NAME, or NAME-PID where a live daemon has it.  bind_unix_path() holds a lock on the directory while it looks; from
/// then on the socket itself says that its name is taken, until its daemon is gone, however that ends.
ControlListener bind_by_hand(const std::string& directory, const std::string& name) {
    try {
        return bind_control(control_by_hand(directory, name));
    } catch (const AddressTaken&) {
        const std::string second = fmt::format("{}-{}", name, ::getpid());
        ControlListener listener = bind_control(control_by_hand(directory, second));
        log(LogLevel::Notice,
            fmt::format("a running daemon has the name {0}: this one is {1}, as in preforkctl -i {1}; "
                        "--name gives it one of its own",
                        name, second));
        return listener;
    }
}

std::optional<ControlListener> listen_by_hand(const std::string& name, const char* xdg_runtime_dir) noexcept try {
    const auto directory = control_directory_by_hand(::geteuid() == 0, xdg_runtime_dir);
    if (!directory) throw std::runtime_error{"XDG_RUNTIME_DIR is not set"};
    make_private_directory(*directory);
    return bind_by_hand(*directory, name);
} catch (const std::exception& error) {
    log(LogLevel::Info,
        fmt::format("no control socket: {}; --control unix:///PATH gives preforkctl one", without_option(error)));
    return std::nullopt;
}

}  // namespace

std::optional<ControlListener> listen_for_control(const Settings& settings,
                                                  const ControlSurroundings& surroundings) noexcept {
    const std::string place = control_place(settings.control, surroundings.runtime_directory);
    if (place == control_off) return std::nullopt;
    return place.empty() ? listen_by_hand(settings.name, surroundings.xdg_runtime_dir) : listen_at(place);
}

std::optional<Endpoint> wanted_control(const std::string& control, const char* runtime_directory) noexcept try {
    const std::string place = control_place(control, runtime_directory);
    if (place.empty() || place == control_off) return std::nullopt;
    return parse_endpoint(place);
} catch (const std::exception&) { return std::nullopt; }

void look_at_control(const Settings& settings, const char* runtime_directory) noexcept try {
    const std::string place = control_place(settings.control, runtime_directory);
    if (place.empty() || place == control_off) return;
    const ListenSettings wanted = settings_at(parse_endpoint(place));
    const SocketAddress address = address_of(wanted);
    if (const int error = look_at_bind(wanted, address).error; error != 0) throw bind_error(wanted, address, error);
} catch (const std::exception& error) { say_why_without(error); }

std::optional<ControlListener> listen_again_at(const Endpoint& endpoint) noexcept try {
    return bind_control(endpoint);
} catch (const std::exception& error) {
    log(LogLevel::Warning,
        "the control socket's file is missing and could not be bound again; retrying: " + without_option(error));
    return std::nullopt;
}

std::optional<ControlListener> listen_once_free(const Endpoint& endpoint) noexcept try {
    const ListenSettings settings = settings_at(endpoint);
    const SocketAddress address = address_of(settings);
    // Not what bind_unix_path() would do first: wait for a lock that somebody else has on the directory.
    const PathOccupant occupant = endpoint.abstract ? PathOccupant::Nothing : occupant_of(address);
    if (occupant != PathOccupant::Nothing && occupant != PathOccupant::StaleSocket) return std::nullopt;
    BindAttempt attempt = try_bind(settings, address, backlog);
    if (attempt.error != 0) return std::nullopt;
    return ControlListener{.fd = std::move(attempt.fd), .local = endpoint, .file = attempt.file};
} catch (const std::exception&) { return std::nullopt; }

void remove_socket_file(const ControlListener& listener) noexcept {
    if (listener.file) remove_if_same(listener.local.path, *listener.file);
}

}  // namespace preforkd
