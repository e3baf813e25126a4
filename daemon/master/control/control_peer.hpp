#pragma once
// One connection of the control socket: a line in, a line out.
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

/// Work under way whose outcome peers wait for.  The part that does the work chooses it.
enum class Ticket : std::uint64_t {};

/// What an exec in place carries over of a peer, beside its connection.
struct PeerState {
    std::string heard{};   ///< of a request that is not whole yet
    std::string unsent{};  ///< of an answer
    bool last = false;     ///< no request is read any more
    std::optional<Ticket> waits_for{};
};

/// Neither waits for its peer nor holds more than one request and one answer of it.
///
///   Asking      sends its request; has a minute for it
///   Waiting     for an outcome, as long as that takes
///   Answering   reads its answer; has ten seconds for it.  Then Asking again, or gone if it sends no more
///   Leaving     has had its last answer and sends on: what comes is thrown away, a megabyte or two seconds of it.
///               Closed at once, with input unread, the answer would be followed by a reset
class ControlPeer {
public:
    enum class Phase { Asking, Waiting, Answering, Leaving };
    enum class Heard {
        Part,     ///< nothing yet, or not all of a line
        Request,  ///< `line` is whole; call answer() or wait_for()
        TooLong,  ///< more than a request can have; call answer(), which is the last
        Gone,
    };

    /// `connection`: non-blocking.
    ControlPeer(UniqueFd connection, Clock::time_point now);
    /// Goes on where the image before stopped; its patience begins anew.
    ControlPeer(UniqueFd connection, PeerState state, Clock::time_point now);
    [[nodiscard]] PeerState state() const;

    [[nodiscard]] int fd() const noexcept { return connection_.get(); }
    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] Deadline patience() const noexcept { return patience_; }
    [[nodiscard]] std::optional<Ticket> waits_for() const noexcept { return waits_for_; }
    [[nodiscard]] Clock::time_point quiet_since() const noexcept { return quiet_since_; }

    /// Reads once, and never beyond the end of a line: the next request stays with the kernel.
    [[nodiscard]] Heard hear();
    [[nodiscard]] const std::string& line() const noexcept { return line_; }

    void wait_for(Ticket ticket);

    /// Sends what it takes of `line`; send_more() sends the rest.  False: it is done with, close it.
    [[nodiscard]] bool answer(std::string line, Clock::time_point now);
    [[nodiscard]] bool send_more(Clock::time_point now);

    /// Leaving: throws away what has come, once.  False: it is done with, close it.
    [[nodiscard]] bool discard();

private:
    UniqueFd connection_;
    Phase phase_ = Phase::Asking;
    Deadline patience_{};
    Clock::time_point quiet_since_{};
    std::optional<Ticket> waits_for_{};
    std::string line_{};    ///< what it has sent of its request
    std::string unsent_{};  ///< of the answer
    bool last_ = false;     ///< it sends no more, or nothing that can be understood
    bool ended_ = false;    ///< it sends no more
    std::size_t discarded_bytes_ = 0;
};

}  // namespace preforkd
