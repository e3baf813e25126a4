#pragma once
// The keys of session tickets, which systemd keeps for the master after this one as it keeps listeners: clients resume
// their sessions over a restart and a crash, as they do over a reload and an upgrade.
#include <cstdint>
#include <memory>
#include <vector>

#include "common/net/listener.hpp"
#include "common/systemd/passed_sockets.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "common/tls/ticket_keys.hpp"

namespace preforkd {

/// Whether a client of one of `listeners` has tickets that are protected by keys of this daemon's own.
[[nodiscard]] bool use_own_ticket_keys(const std::vector<Listener>& listeners) noexcept;

/// Those that a master before has left in the store, which are out of `passed` then; nullptr: none.
[[nodiscard]] std::shared_ptr<RotatingTicketKeys> take_ticket_keys(std::vector<PassedSocket>& passed);

/// What the store has is never older than what the master itself remembers: whoever reads it learns no key of which the
/// time is over.  Where it cannot be had, clients shake hands anew after a restart, and nothing else is lost.
class StoredTicketKeys {
public:
    explicit StoredTicketKeys(SystemdNotify& systemd) noexcept;

    /// Once in a while: stores `keys` in the place of older ones, and has them forget what is not needed any more.
    /// nullptr: nobody uses any, and none are kept.
    void maintain(RotatingTicketKeys* keys, TicketKeys::Time now);

private:
    void replace(RotatingTicketKeys* keys);

    SystemdNotify& systemd_;
    std::int64_t kept_;  ///< the period that those in the store are of
    bool failing_ = false;
};

}  // namespace preforkd
