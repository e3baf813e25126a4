#include "daemon/worker/program/waiting_work.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "common/net/error_queue.hpp"
#include "daemon/worker/datagram/datagram_message.hpp"
#include "daemon/worker/program/queued_clients.hpp"

namespace preforkd {

namespace {

int look_for_connections(int socket) noexcept {
    pollfd queue{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&queue, 1, 0);
    return ready == -1 ? errno : ready == 0 ? EAGAIN : 0;
}

/// The kernel stamps a datagram when it comes or, where nobody had asked for stamps by then, when it is first looked
/// at: it keeps the stamp.  Asked for only as long as we look: to a program that gets notes another one would be news.
class Stamps {
public:
    explicit Stamps(int socket) noexcept : socket_{socket} { ask(1); }
    ~Stamps() { ask(0); }
    Stamps(const Stamps&) = delete;
    Stamps& operator=(const Stamps&) = delete;

private:
    void ask(int on) const noexcept { (void)::setsockopt(socket_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on); }

    int socket_;
};

std::int64_t stamp_in(msghdr& header) noexcept {
    for (cmsghdr* note = CMSG_FIRSTHDR(&header); note != nullptr; note = CMSG_NXTHDR(&header, note)) {
        if (note->cmsg_level != SOL_SOCKET || note->cmsg_type != SCM_TIMESTAMPNS) continue;
        timespec stamp{};
        std::memcpy(&stamp, CMSG_DATA(note), sizeof stamp);
        return std::int64_t{stamp.tv_sec} * 1'000'000'000 + stamp.tv_nsec;
    }
    return 0;
}

/// Returns 0, or what recvmsg(2) says.
int peek(int socket, WaitingWork& found) noexcept {
    alignas(cmsghdr) std::array<std::byte, 256> notes;  // the stamp is the first of them
    msghdr header{};
    header.msg_name = found.sender.data();
    header.msg_namelen = SocketAddress::capacity();
    header.msg_control = notes.data();
    header.msg_controllen = notes.size();
    const Stamps stamps{socket};
    const ssize_t size = ::recvmsg(socket, &header, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (size == -1) return errno;
    found.sender.resize(header.msg_namelen);
    found.size_bytes = static_cast<std::size_t>(size);
    found.stamp_ns = stamp_in(header);
    return 0;
}

}  // namespace

std::optional<bool> is_still_there(const WaitingWork& before, const WaitingWork& now, Transport transport) {
    if (is_datagram(transport)) return before == now;
    // Who has gone away by himself stays in the queue, and is no client any more: of nobody nothing is known.
    if (!before.clients || !now.clients || before.clients->empty()) return std::nullopt;
    return all_still_wait(*before.clients, *now.clients);
}

int look_for_work(int socket, Transport transport, WaitingWork& found, Look look) {
    found = {};
    if (!is_datagram(transport)) {
        const int error = look_for_connections(socket);
        if (error == 0 && look == Look::AndWho) found.clients = queued_clients(socket, transport);
        return error;
    }
    constexpr int most_tries = 16;
    int error = EINTR;
    for (int tries = 0; (error == EINTR || tells_of_earlier_datagram(error)) && tries < most_tries; ++tries)
        error = peek(socket, found);
    if (error == 0) return 0;
    empty_error_queue(socket);  // which a program may have asked for, and which alone may have woken us
    return error == EINTR || tells_of_earlier_datagram(error) ? EAGAIN : error;
}

}  // namespace preforkd
