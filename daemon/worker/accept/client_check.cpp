#include "daemon/worker/accept/client_check.hpp"

#include "common/channel/source_table.hpp"

namespace preforkd {

ClientCheck::ClientCheck(const Listener& listener, Acceptor& acceptor)
    : listener_{listener},
      cells_{listener.sources->cells()},
      column_{acceptor.column()},
      quota_{quota_of(listener)},
      prefix_{listener.settings.limits.source_prefix.value_or(SourcePrefix{})},
      // A datagram that only a rate is for need not be given back.
      counts_at_once_{quota_.at_once != 0 || !is_datagram(listener.local.transport)},
      uncounted_{listener, acceptor.reactor(), LogLevel::Warning,
                 "admitted {peer} at {listener} without counting it: {cause}; so far {total}"} {}

std::optional<RefusalReason> ClientCheck::refusal_of(const ClientIdentity& client, const SocketAddress& address,
                                                     CountedPlace& place) {
    if (!is_allowed(client)) {
        cells_.note_refusal(RefusalReason::Denied);
        return RefusalReason::Denied;
    }
    if (quota_.at_once == 0 && quota_.per_second == 0) return std::nullopt;
    return count(client, address, place);
}

bool ClientCheck::is_allowed(const ClientIdentity& client) const noexcept {
    if (!listener_.access) return true;
    const AccessTable& access = *listener_.access;
    if (client.host) return access.admits(*client.host);
    return client.user ? access.admits_user(*client.user) : access.admits_others();
}

std::optional<RefusalReason> ClientCheck::count(const ClientIdentity& client, const SocketAddress& address,
                                                CountedPlace& place) {
    const Source source = client.host   ? source_of(*client.host, prefix_)
                          : client.user ? source_of_user(*client.user)
                                        : Source{};
    const auto now = recent_time().time_since_epoch();
    if (!counts_at_once_) return cells_.spend(column_, source, quota_, now);
    const auto entered = cells_.enter(column_, source, quota_, now);
    if (entered.refused) return entered.refused;
    if (entered.row == SourceCells::no_row)
        uncounted_.add(address, "too many other sources have clients");
    else
        place.add_row(cells_, column_, entered.row);
    return std::nullopt;
}

}  // namespace preforkd
