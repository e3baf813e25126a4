#pragma once
// Taking datagrams out of a socket, several with one system call.
#include <sys/socket.h>

#include <memory>
#include <span>
#include <vector>

#include "common/net/listener.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/client_check.hpp"
#include "daemon/worker/accept/counted_place.hpp"
#include "daemon/worker/datagram/announced_datagrams.hpp"
#include "daemon/worker/datagram/datagram_message.hpp"
#include "daemon/worker/datagram/datagram_request.hpp"
#include "daemon/worker/datagram/datagram_rules.hpp"

namespace preforkd {

/// Where datagrams come from and who counts them.
struct DatagramInlet {
    const Listener& listener;
    bool log_connections = true;
    Acceptor& acceptor;
    std::size_t limit = 1;  ///< served at once, where they can be several
    DatagramRules rules{};
};

/// As the plan has it for `listener`.
[[nodiscard]] DatagramInlet datagram_inlet(const WorkerPlan& plan, const Listener& listener, Acceptor& acceptor);

/// One datagram in an intake's buffer.
struct ArrivedDatagram {
    std::span<const std::byte> bytes{};  ///< behind the header
    SocketAddress sender{};              ///< size 0: a Unix sender without an address
    SocketAddress local{};               ///< where it was sent to
    std::size_t longest_reply = DatagramCore::no_limit;
    std::unique_ptr<const Announced> announced{};  ///< where the sender has announced the client
    CountedPlace place{};                          ///< to be given back before the acceptor's ended()

    [[nodiscard]] const SocketAddress& peer() const noexcept { return announced ? announced->peer : sender; }
};

/// A datagram listener as one worker sees it.
class DatagramSource {
public:
    /// Asks the kernel for what replies and reports need of each datagram.
    explicit DatagramSource(const DatagramInlet& inlet);

    /// A descriptor for replies that outlives the listener, shared by all who hold one now: the worker may stop
    /// receiving and close before a thread or a coroutine replies.  While nobody holds one, there is none that would
    /// keep the address from a successor.
    [[nodiscard]] std::shared_ptr<UniqueFd> keep_open(int socket);

    /// Whether to serve `arrived`, from which a header is taken where it has to have one; what is not served is
    /// counted.
    [[nodiscard]] bool admits(ArrivedDatagram& arrived);

    /// Whether there is a place for one more below max=, and then it is in `place`.
    [[nodiscard]] bool take_place(CountedPlace& place) const;
    [[nodiscard]] bool has_max() const noexcept { return max_ != 0; }

    /// What every model does with one that it is about to serve: counts and logs it.
    void begin(const ArrivedDatagram& arrived) const;

    [[nodiscard]] const SocketAddress& bound() const noexcept { return bound_; }
    [[nodiscard]] bool has_notes() const noexcept { return bound_.family() != AF_UNIX; }
    /// Whether it depends on the datagram where it was sent to, which is where a reply has to come from.
    [[nodiscard]] bool names_destinations() const noexcept { return names_destinations_; }
    [[nodiscard]] const std::shared_ptr<DatagramTally>& tally() const noexcept { return tally_; }
    [[nodiscard]] ListenerCounter& counter() const noexcept { return counter_; }

private:
    [[nodiscard]] SourceFault fault_for(RefusalReason reason) const noexcept;

    const Listener& listener_;
    Acceptor& acceptor_;
    bool log_connections_;
    SocketAddress bound_;
    bool names_destinations_;
    SourceCheck check_;
    std::unique_ptr<AnnouncedDatagrams> announced_{};  ///< null: nobody announces anybody
    std::unique_ptr<ClientCheck> clients_{};           ///< null: all are served, as often as they like
    std::uint32_t max_ = 0;                            ///< zero: none
    ListenerCounter& counter_;
    std::shared_ptr<DatagramTally> tally_;
    std::weak_ptr<UniqueFd> kept_open_{};
};

/// Buffers for a batch of datagrams, allocated once and touched as far as datagrams fill them.
class DatagramIntake {
public:
    explicit DatagramIntake(std::size_t most);
    ~DatagramIntake();
    DatagramIntake(const DatagramIntake&) = delete;
    DatagramIntake& operator=(const DatagramIntake&) = delete;

    /// Receives what is queued, at most `limit`, without waiting.  Returns 0 or the errno of recvmmsg(2).
    /// What is too long or of a source that is not served is counted and left out, so arrived() may be empty.
    /// Acceptor::at_max: nothing is received.
    [[nodiscard]] int receive(int socket, std::size_t limit, DatagramSource& source);

    /// Of the last receive(), until the next.
    [[nodiscard]] std::span<ArrivedDatagram> arrived() noexcept { return arrived_; }

    [[nodiscard]] std::size_t most() const noexcept { return headers_.size(); }

private:
    void prepare(std::size_t wanted, bool with_notes) noexcept;
    void examine(std::size_t index, DatagramSource& source, CountedPlace& place);

    std::byte* buffers_ = nullptr;
    std::vector<mmsghdr> headers_;
    std::vector<DatagramMessage> messages_;
    std::vector<ArrivedDatagram> arrived_{};
    std::size_t used_;             ///< so many headers, the first ones, may not be as prepare() leaves them
    bool with_notes_ = false;      ///< how the others are prepared
    int received_since_look_ = 0;  ///< into the error queue
};

}  // namespace preforkd
