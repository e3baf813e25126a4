#pragma once
// Binding and listening, and what a listening socket of the master is.
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/config/settings.hpp"
#include "common/net/unix_path.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

class RefusalTotals;
class SourceTable;
class TlsContext;

/// A bound, non-blocking, close-on-exec socket that the workers share: listening, if its transport has connections.
struct Listener {
    UniqueFd fd{};
    ListenSettings settings{};  ///< what asked for it
    Endpoint local{};           ///< where it is: names resolved, port 0 replaced; dual-stack keeps its empty host
    bool inherited = false;     ///< passed by systemd: never shut down, filtered, unlinked or given new options
    std::optional<FileIdentity> file{};           ///< the Unix path that we made and have to remove
    std::shared_ptr<const AccessTable> access{};  ///< of allow= and deny=, once these are read; empty: all
    std::shared_ptr<const TlsContext> tls{};      ///< of tls://, once its files are read
    std::shared_ptr<SourceTable> sources{};       ///< where its workers count; empty: nothing is limited
    std::shared_ptr<RefusalTotals> refused{};     ///< whom they have refused; empty: there was never a table
    std::uint32_t replies_per_source = 0;         ///< udp: a second, where its handler has the say; zero: no limit
    bool passed_on = false;   ///< to programs that accept by themselves: never filtered, whose clients would inherit it
    int queue = 0;            ///< which of the sockets at its address it is: number_queues()
    int queues = 1;           ///< how many of these are to get new clients: the first ones
    bool order_lost = false;  ///< the kernel may have them in another order: all of them get new clients
    std::size_t service = 0;  ///< which of the services of its generation has it
    std::string passed_name{};  ///< what systemd calls it: one that it passed, or keeps for us in its store

    /// Whether systemd holds the socket too, so that its queue is there when we are gone.
    [[nodiscard]] bool outlives_us() const noexcept { return inherited || !passed_name.empty(); }
};

/// Where it is, as parse_listen() reads it: `tls://127.0.0.1:443`.
[[nodiscard]] std::string to_string(const Listener& listener);

/// Another descriptor of the same socket: one queue for both.
[[nodiscard]] Listener duplicate(const Listener& listener);

/// What becomes of an address that somebody else has.
enum class WhenTaken {
    TryAgain,  ///< 5 times, 0.5 s apart: at start-up; a blocked SIGTERM, SIGINT or SIGQUIT that is pending ends it
    Fail,      ///< with AddressTaken
    IsFine,    ///< nothing is bound: look_at_listeners()
};

/// An address that somebody else has may be free in a moment.
struct AddressTaken : OperatorError {
    explicit AddressTaken(const OperatorError& error) : OperatorError{error} {}
};

inline constexpr int bind_retries = 5;
inline constexpr std::chrono::milliseconds between_bind_retries{500};

/// Binds every endpoint of `wanted`, all or nothing (Unix paths made on the way are removed again on failure).
///
/// An endpoint of several addresses gives several listeners (a host name of several addresses), with one port if the
/// port is 0; an empty host gives one dual-stack socket, or IPv4 where the machine has no IPv6.  The error of an
/// address in use names the process that holds it, if /proc tells.  A Unix path is replaced if it is a stale socket,
/// refused if it is live or no socket. `default_backlog`: for endpoints that name none; unset is min(4096, somaxconn).
/// Warns when the kernel cuts it. Throws OperatorError: 77 without privilege, 78 for what the operator wrote, 71 for
/// the rest. Source: bind(2), listen(2), ipv6(7), unix(7).
[[nodiscard]] std::vector<Listener> bind_listeners(const std::vector<ListenSettings>& wanted,
                                                   std::optional<int> default_backlog,
                                                   WhenTaken when_taken = WhenTaken::TryAgain);

/// What bind_listeners() would make of `wanted`, and throw, as far as that can be known without taking an address: each
/// has a socket, but no client finds it.  An address in use is fine: it may be the running daemon's.
[[nodiscard]] std::vector<Listener> look_at_listeners(const std::vector<ListenSettings>& wanted,
                                                      std::optional<int> default_backlog);

/// What listen(2) is given for `settings`: their backlog, or the default, or min(4096, somaxconn).
[[nodiscard]] int backlog_of(const ListenSettings& settings, std::optional<int> default_backlog);

/// Warns when the kernel has cut the backlog of `listener`, which listens.  Where net.core.somaxconn cannot be read the
/// socket is asked; a Unix socket does not tell, and nothing is guessed.
void warn_of_cut_backlog(const Listener& listener, std::optional<int> default_backlog);

/// Whether somebody who shares the socket `fd` has shut it down, shutdown(2), for all.
[[nodiscard]] bool is_shut_down(int fd) noexcept;

/// Whether new clients are to come to others at its address alone: a reload asked for fewer queues.
[[nodiscard]] constexpr bool is_surplus(const Listener& listener) noexcept { return listener.queue >= listener.queues; }

/// Listens again at the same address, in place, after that.  False for other transports than TCP, whose sockets stay
/// shut.  Throws std::system_error.
[[nodiscard]] bool listen_again(const Listener& listener, int backlog);

/// Puts a new socket in the place of a UDP socket that we bound and that is shut down, at the same address.  Those who
/// hold the old one get nothing more.  False for other listeners.  Throws std::system_error.
[[nodiscard]] bool replace_socket(Listener& listener);

/// Undoes a connect(2) of somebody who shares the socket `fd`, by which one for datagrams hears that peer alone.
/// `local`: where it was bound.  Whether there was anything to undo.  Throws std::system_error.
bool disconnect(int fd, const Endpoint& local);

/// Removes the Unix path of a listener that bind_listeners() made, unless something else has taken the path since.
void remove_socket_file(const Listener& listener) noexcept;

/// Lets no new TCP connection begin, so that the queue can be emptied before the close: clients whose connect()
/// succeeded would otherwise be reset.  Handshakes under way are still completed.  A client that comes now is neither
/// answered nor refused; it tries again after a second.  Only for sockets we bound ourselves, at the final stop: the
/// description may outlive us.  Does nothing for other transports (a Unix path is removed instead) and for sockets
/// that outlive us.  Works without privilege.  Source: socket(7), SO_ATTACH_FILTER; ip(7), IP_MINTTL.
void refuse_new_connections(const Listener& listener) noexcept;

/// Has to be called for every connection that is accepted after refuse_new_connections(): without CAP_NET_ADMIN what
/// keeps new clients out is inherited, and would keep out what this client sends.
void lift_refusal(int connection) noexcept;

}  // namespace preforkd
