#pragma once
// Listeners that systemd keeps for us in its store, so that a crash or a restart of the master does not lose their
// queues.
//
// What systemd 252 does: the store outlives the process, whatever ends it, as long as a start is to follow
// (`Restart=`, `systemctl restart`); the next process finds its sockets behind LISTEN_FDS, under the names they were
// stored by.  When the unit stops or fails for good, the store is closed.  A process that is asked to stop is not told
// which of the two comes, so a stored listener is left as it is: not filtered, its queue not emptied, its socket file
// not removed.  After `systemctl stop` clients that came during the drain are reset, and the file of a Unix socket is a
// stale one, which the next start replaces.
//
// A Unix socket needs its file: RuntimeDirectoryPreserve=restart where it is in a RuntimeDirectory=.
// Source: sd_notify(3); systemd.service(5), FileDescriptorStoreMax=; systemd 252, service_release_resources().
#include <optional>
#include <vector>

#include "common/net/listener.hpp"
#include "common/systemd/passed_sockets.hpp"
#include "common/systemd/systemd_notify.hpp"

namespace preforkd {

/// Has systemd keep the listeners that we bound and that it does not keep yet; all of them or none, with a warning,
/// because an endpoint of which only some addresses came back would be taken for a whole one.
void store_listeners(SystemdNotify& systemd, std::vector<Listener>& listeners);

/// Has systemd forget a listener that is about to be closed for good.  Does nothing for one that it does not keep.
void forget_listener(SystemdNotify& systemd, Listener& listener);

/// A socket of ours that came back, as the listener that it was; nullopt if it is not what `settings` ask for: another
/// v6only, or a Unix path that leads elsewhere by now.  Throws OperatorError as bind_listeners() does for mode and
/// owner.
[[nodiscard]] std::optional<Listener> take_back(PassedSocket& socket, const ListenSettings& settings);

/// Closes sockets of ours that nobody asks for any more, here and in the store, and removes their socket files.
void drop_stored_sockets(SystemdNotify& systemd, std::vector<PassedSocket> unwanted);

}  // namespace preforkd
