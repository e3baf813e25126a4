#include "preforkd/datagram.hpp"

#include "daemon/worker/datagram/datagram_request.hpp"

namespace preforkd {

namespace {

const Endpoint& once(std::optional<Endpoint>& endpoint, const SocketAddress& address) {
    if (!endpoint) endpoint = address.to_endpoint(SOCK_DGRAM);
    return *endpoint;
}

}  // namespace

std::span<const std::byte> Datagram::bytes() const noexcept { return core_.bytes; }

std::string_view Datagram::text() const noexcept {
    return {reinterpret_cast<const char*>(core_.bytes.data()), core_.bytes.size()};
}

const Endpoint& Datagram::peer() const {
    return once(core_.peer, core_.announced != nullptr ? core_.announced->peer : core_.route.peer);
}

const Endpoint& Datagram::local() const {
    return once(core_.local, core_.announced != nullptr ? core_.announced->local : core_.route.local);
}

const Announcement* Datagram::announcement() const noexcept {
    return core_.announced != nullptr ? &core_.announced->said : nullptr;
}

bool Datagram::can_reply() const noexcept { return core_.route.peer.size() > sizeof(sa_family_t); }

std::error_code Datagram::reply(std::span<const std::byte> bytes) {
    if (!can_reply()) return std::make_error_code(std::errc::destination_address_required);
    if (bytes.size() > core_.longest_reply) {
        core_.route.tally.cut_replies.fetch_add(1, std::memory_order_relaxed);
        bytes = bytes.first(core_.longest_reply);
    }
    return core_.outbox != nullptr ? core_.outbox->post(core_.route, bytes) : send_reply(core_.route, bytes);
}

std::error_code Datagram::reply(std::string_view text) {
    return reply(std::as_bytes(std::span{text.data(), text.size()}));
}

}  // namespace preforkd
