#pragma once
// The peers of the control socket: how many, and for how long.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/epoll_set.hpp"
#include "common/control/control_protocol.hpp"
#include "daemon/master/control/control_listener.hpp"
#include "daemon/master/control/control_peer.hpp"

namespace preforkd {

/// Its key in the master's EpollSet: above every pid.
inline constexpr std::uint64_t control_key = std::uint64_t{1} << 32;

/// What is said at once, a line with its newline; or the ticket under which the outcome will be told.
using ControlReply = std::variant<std::string, Ticket>;
/// Must not conclude a ticket before it has returned it.
using ControlDesk = std::function<ControlReply(const ControlRequest&)>;

/// What an exec in place carries over.  Borrowed descriptors, all close-on-exec until the caller clears that.
struct ControlHandover {
    int listener = -1;
    Endpoint local{};
    std::optional<FileIdentity> file{};
    std::vector<std::pair<int, PeerState>> peers{};
};

/// Answers peers, one request of each at a time.  Knows nothing of what they ask for: `desk` does.
///
/// Root and the user of this process are served, others get a sentence.  The master's loop waits for none of them:
/// every call takes what is there and returns.  At most 16 peers are connected; one more takes the place of the one
/// that has been silent for longest.  A peer that waits for an outcome is never sent away.
class ControlServer {
public:
    static constexpr std::size_t most_peers = 16;

    ControlServer(ControlListener listener, ControlDesk desk);
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    /// Readable when serve() has something to do.
    [[nodiscard]] int fd() const noexcept { return epoll_.fd(); }
    void serve(Clock::time_point now);

    /// Disconnects peers whose time is over.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline next_deadline() const;

    /// Tells every peer that waits for it.
    void conclude(Ticket ticket, const Outcome& outcome);

    /// The last words: `outcome` for `ticket`, a failure for peers that wait for anything else, a farewell for peers
    /// that ask nothing just now.  Removes the socket's file.
    void close(Ticket ticket, const Outcome& outcome);

    /// Whether its file was removed or replaced.
    [[nodiscard]] bool has_lost_its_file() const noexcept;
    /// Goes on at `again`, where its file is once more.  Connected peers stay, queued ones are accepted.  False if
    /// nothing has changed.
    bool move_to(std::optional<ControlListener> again, Clock::time_point now);
    [[nodiscard]] const ControlListener& listener() const noexcept { return listener_; }

    [[nodiscard]] ControlHandover handover() const;
    /// The other side of it: `connection` is a peer of the image before this one.
    void adopt(UniqueFd connection, PeerState state, Clock::time_point now);

    [[nodiscard]] std::size_t peers() const noexcept { return peers_.size(); }

private:
    using Id = std::uint64_t;
    using Peers = std::map<Id, ControlPeer>;

    void accept_peers(Clock::time_point now);
    [[nodiscard]] bool may_ask(int connection);
    void admit(ControlPeer peer);
    void serve_peer(Peers::iterator peer, Clock::time_point now);
    void hear(Peers::iterator peer, Clock::time_point now);
    void settle(Peers::iterator peer, bool goes_on);
    void drop(Peers::iterator peer);
    void answer_waiting(const std::function<std::optional<Outcome>(Ticket)>& outcome_of);
    [[nodiscard]] bool make_space();

    ControlListener listener_;
    ControlDesk desk_;
    EpollSet epoll_{};  ///< its own, so that the master's loop has one descriptor for all of it
    Peers peers_{};
    Id last_id_ = 0;           ///< 0 is the listener's
    Deadline listen_again_{};  ///< out of descriptors until then
    bool said_refused_ = false;
};

}  // namespace preforkd
