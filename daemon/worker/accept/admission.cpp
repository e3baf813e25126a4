#include "daemon/worker/accept/admission.hpp"

#include <sys/socket.h>

#include <array>
#include <string_view>

namespace preforkd {
namespace {

constexpr std::string_view refused = "refused {peer} at {listener}: {cause}; so far {total}";

std::string_view describe(RefusalReason reason) noexcept {
    switch (reason) {
        case RefusalReason::Denied: return "allow= and deny= do not admit it";
        case RefusalReason::PerSource: return "its source has as many clients as per-source= allows";
        case RefusalReason::Rate: return "its source comes more often than rate= allows";
    }
    return {};
}

/// A line, whatever was written.
std::string farewell_of(const ClientLimits& limits) {
    const std::string& text = limits.refuse_with;
    return text.empty() || text.back() == '\n' ? text : text + '\n';
}

/// By a reset, where the transport has one: a client that is told nothing shall not take that for an answer.
void reset(int connection) noexcept {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/// What the client has sent so far is read, or the close would be a reset that overtakes the text.
void tell(int connection, std::string_view text) noexcept {
    constexpr int most_reads = 16;
    std::array<char, 4096> unread;
    (void)::send(connection, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)::shutdown(connection, SHUT_WR);
    for (int reads = 0; reads < most_reads; ++reads)
        if (::recv(connection, unread.data(), unread.size(), MSG_DONTWAIT) <= 0) return;
}

}  // namespace

Admission::Admission(const Listener& listener, Acceptor& acceptor)
    : check_{listener, acceptor},
      farewell_{farewell_of(listener.settings.limits)},
      refusals_{Refusals{listener, acceptor.reactor(), LogLevel::Notice, refused},
                Refusals{listener, acceptor.reactor(), LogLevel::Notice, refused},
                Refusals{listener, acceptor.reactor(), LogLevel::Notice, refused}} {}

bool Admission::admits(int connection, const SocketAddress& address, bool is_announced, CountedPlace& place) {
    const auto reason = check_.refusal_of(identity_of(connection, address, is_announced), address, place);
    if (reason) refuse(connection, address, *reason);
    return !reason;
}

ClientIdentity Admission::identity_of(int connection, const SocketAddress& address, bool is_announced) noexcept {
    if (const auto host = host_address_of(address)) return {.host = host};
    ucred peer{};
    socklen_t size = sizeof peer;
    if (is_announced || ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1) return {};
    return {.user = peer.uid};
}

void Admission::refuse(int connection, const SocketAddress& address, RefusalReason reason) {
    if (farewell_.empty())
        reset(connection);
    else
        tell(connection, farewell_);
    refusals_.at(static_cast<std::size_t>(reason)).add(address, describe(reason));
}

}  // namespace preforkd
