#include "daemon/master/control_listener.hpp"

#include <exception>
#include <string>

#include "common/bind_attempt.hpp"
#include "common/bind_error.hpp"
#include "common/control_endpoint.hpp"
#include "common/socket_address.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

constexpr unsigned for_its_owner = 0600;
constexpr int backlog = 16;

ControlListener bind_control(const Endpoint& endpoint) {
    ListenSettings settings{.endpoint = endpoint};
    if (!endpoint.abstract) settings.mode = for_its_owner;
    const SocketAddress address = resolve(endpoint).at(0);
    BindAttempt attempt = try_bind(settings, address, backlog);
    if (attempt.error != 0) throw bind_error(settings, address, attempt.error);
    return {.fd = std::move(attempt.fd), .local = endpoint, .file = attempt.file};
}

/// The room that binds Unix paths speaks of --listen.
std::string without_prefix(std::string sentence, const Endpoint& endpoint) {
    const std::string prefix = "--listen " + to_string(endpoint) + ": ";
    return sentence.starts_with(prefix) ? sentence.substr(prefix.size()) : sentence;
}

}  // namespace

std::optional<Endpoint> control_endpoint(const Settings& settings, const char* runtime_directory) {
    if (settings.control == control_off) return std::nullopt;
    if (settings.control.empty()) return control_in_runtime_directory(runtime_directory);
    return parse_control_endpoint(settings.control);
}

std::optional<ControlListener> listen_for_control(const Endpoint& endpoint) noexcept try {
    return bind_control(endpoint);
} catch (const std::exception& error) {
    log(LogLevel::Warning, "--control " + to_string(endpoint) + ": " + without_prefix(error.what(), endpoint) +
                               "; going on without a control socket");
    return std::nullopt;
}

std::optional<ControlListener> listen_again_at(const Endpoint& endpoint) noexcept try {
    return bind_control(endpoint);
} catch (const std::exception& error) {
    log(LogLevel::Warning, "the control socket has lost its file and is not bound again: " + std::string{error.what()});
    return std::nullopt;
}

void remove_socket_file(const ControlListener& listener) noexcept {
    if (listener.file) remove_if_same(listener.local.path, *listener.file);
}

}  // namespace preforkd
