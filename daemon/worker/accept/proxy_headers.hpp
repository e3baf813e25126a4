#pragma once
// Connections that were accepted from who announces clients, and whose header is still to come.
#include <list>
#include <memory>
#include <string>

#include "common/net/proxy_header.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/announced.hpp"
#include "daemon/worker/accept/refusals.hpp"
#include "daemon/worker/accept/taken_stream.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// Reads PROXY headers in the worker's main loop, for every model: before a thread or a child is made, and so that a
/// silent balancer keeps no handler waiting.  A connection counts as one of the acceptor's meanwhile.
///
/// Takes from a connection the bytes of the header alone: what follows is where every handler looks for it.
class ProxyHeaders final : public Unstarted {
public:
    /// Whose connection it is, and what was said of it: both as they were if the balancer speaks for itself.
    using Then =
        std::function<void(TakenStream connection, SocketAddress peer, std::unique_ptr<const Announced> announced)>;

    /// `listener` has proxy=, and outlives it, as `acceptor` does.
    ProxyHeaders(const Listener& listener, Acceptor& acceptor, Then then);

    /// Whether `peer` has to announce its client.
    [[nodiscard]] bool expects(const SocketAddress& peer) const noexcept;

    /// Behind the acceptor's taken(); refused() is called here if there is no valid header.
    void read(TakenStream connection, const SocketAddress& balancer);

    void cancel() override;

private:
    struct Pending {
        TakenStream connection{};
        SocketAddress balancer{};
        std::string heard{};
        std::unique_ptr<Timer> timer{};  ///< made when the header does not come at once
    };
    using Place = std::list<Pending>::iterator;

    void hear(Place pending);
    [[nodiscard]] bool parse(Place pending, std::string_view more);
    void wait(Place pending);
    void finish(Place pending, ProxyHeader& header);
    void refuse(Place pending, const char* why, ConnectionOutcome outcome = ConnectionOutcome::Error);
    void drop(Place pending, ConnectionOutcome outcome);
    [[nodiscard]] Pending take(Place pending);

    const Listener& listener_;
    Acceptor& acceptor_;
    Then then_;
    std::list<Pending> pending_{};
    Refusals refusals_;
};

}  // namespace preforkd
