#include "common/systemd/stored_listeners.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/net/socket_address.hpp"
#include "common/systemd/fd_store_policy.hpp"
#include "common/systemd/stored_ticket_keys.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

/// Stands for the number of one that is nobody knows which in the kernel's order, Listener::order_lost.
constexpr int out_of_order = 256;

bool is_v6only(int fd) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &size) == 0 && value != 0;
}

/// An option that can be set before bind(2) only.
bool has_v6only_of(int fd, const ListenSettings& settings) {
    if (SocketAddress::local_of(fd).family() != AF_INET6) return true;
    const std::optional<bool> wanted =
        settings.endpoint.host.empty() ? settings.v6only.value_or(false) : settings.v6only;
    return !wanted || *wanted == is_v6only(fd);
}

}  // namespace

void store_listeners(SystemdNotify& systemd, std::vector<Listener>& listeners) {
    if (systemd.store_limit() == 0) return;
    const auto ours = static_cast<std::size_t>(
        std::ranges::count_if(listeners, [](const Listener& listener) { return !listener.inherited; }));
    const std::size_t places = systemd.store_limit() - (use_own_ticket_keys(listeners) ? 1 : 0);
    if (ours > places)
        return log(LogLevel::Warning,
                   "systemd's store takes {accepted} of {listeners} listeners, and a restart will reset clients in the "
                   "queues of the others: raise FileDescriptorStoreMax=",
                   {{"listeners", std::uint64_t{ours}}, {"accepted", std::uint64_t{places}}});
    for (Listener& listener : listeners) {
        if (listener.outlives_us()) continue;
        listener.passed_name =
            stored_name(listener.local, listener.file, listener.queue + (listener.order_lost ? out_of_order : 0));
        if (listener.outlives_us()) systemd.store(listener.passed_name, listener.fd.get());
    }
}

void forget_listener(SystemdNotify& systemd, Listener& listener) {
    if (listener.inherited || !listener.outlives_us()) return;
    systemd.forget(listener.passed_name);
    listener.passed_name.clear();
}

std::optional<Listener> take_back(PassedSocket& socket, const ListenSettings& settings) {
    const int fd = socket.fd.get();
    if (!has_v6only_of(fd, settings)) return std::nullopt;
    const std::optional<FileIdentity> file = file_in_stored_name(socket.name);
    if (file && !set_owner_and_mode(settings, *file)) return std::nullopt;
    check(::fcntl(fd, F_SETFL, check(::fcntl(fd, F_GETFL), "F_GETFL") | O_NONBLOCK), "set O_NONBLOCK");
    const Endpoint local = local_endpoint(fd);
    return Listener{.fd = std::move(socket.fd),
                    .settings = settings,
                    .local = local,
                    .file = file,
                    .order_lost = queue_in_stored_name(socket.name) >= out_of_order,
                    .passed_name = std::move(socket.name)};
}

void drop_stored_sockets(SystemdNotify& systemd, std::vector<PassedSocket> unwanted) {
    for (const PassedSocket& socket : unwanted) {
        systemd.forget(socket.name);
        std::string where = socket.name;
        try {
            const Endpoint local = local_endpoint(socket.fd.get());
            where = to_string(local);
            if (const auto file = file_in_stored_name(socket.name)) remove_if_same(local.path, *file);
        } catch (const std::exception&) {  // it is no socket any more
        }
        log(LogLevel::Notice, "closed {endpoint}, a listener from systemd's store that the settings no longer name",
            {{"endpoint", where}});
    }
}

}  // namespace preforkd
