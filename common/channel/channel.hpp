#pragma once
// What master and worker say to each other, and how each learns of the other's death.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// What the master asks of a worker.  Draining and stopping travel as signals, which an operator can send too.
enum class Order : std::uint8_t {
    LookForClients,    ///< a sibling may have taken a wake-up with it; also answered by refreshing the record.  May be
                       ///< lost: the ones before it in a full channel ask for the same
    EmptyQueue,        ///< a listener will close for good: with the next drain, serve what is queued there first
    FinishWithin = 3,  ///< what runs has so long from the next drain on, instead of --stop-timeout.  2 is taken: their
                       ///< numbers go from image to image
};

/// What a worker tells the master.  Whether the master believes it is for its own book to decide.
struct Report {
    enum class Kind : std::uint8_t {
        Ready,       ///< in the accept queue
        Paused,      ///< left the accept queue while clients may be waiting: a sibling should look
        Retiring,    ///< has served --max-requests; asks for a replacement and goes on until told to leave
        Failed,      ///< cannot start, or go on; `text` says why: its last word
        Full = 5,    ///< is at its limit; sent at times, in a pool of a fixed size every 5 s at most.  4 is taken: its
                     ///< numbers go from image to image
        Extend = 6,  ///< a copy of a program asks for time to leave: `text` is how many milliseconds
    } kind{};
    std::string text{};  ///< one printable line of 1024 bytes, or in quotes with what is not printable escaped
};

/// For EmptyQueue: not one listener, but all of them.
inline constexpr std::uint32_t every_listener = ~std::uint32_t{0};

/// How rarely a worker of a pool whose size is fixed says that it is at its limit, so that this costs its clients
/// nothing: the master looks by itself for as long.
inline constexpr std::chrono::seconds between_full_reports{5};

/// For FinishWithin: in units of that, so that the longest time that an option can say has space.
inline constexpr std::chrono::milliseconds finish_unit{10};

struct ReceivedOrder {
    Order order{};
    /// EmptyQueue: the listener, by its index among those of the worker's generation; FinishWithin: how many times
    /// finish_unit, 0 is for ever.
    std::uint32_t argument = every_listener;
};

struct NothingYet {};
struct PeerGone {};
struct NoReport {};  ///< something came that no worker writes

/// One end of a worker's channel; both descriptors are close-on-exec and non-blocking.
///
/// Orders come over a pair of sequenced-packet sockets, which keep them apart.  Nothing can be sent the other way: a
/// worker that was taken over would pass its master descriptors, and one of a lingering connection blocks whoever
/// closes it.  Source: SHUT_RD, shutdown(2); SO_LINGER, socket(7).  So reports come over a pipe.
struct ChannelEnd {
    UniqueFd orders{};   ///< its end is the lifeline: the worker must hold no copy of a master's
    UniqueFd reports{};  ///< in the master the end that is read; empty there for a worker of an image that had no pipe
};

struct ChannelPair {
    ChannelEnd master{};
    ChannelEnd worker{};
};
[[nodiscard]] ChannelPair open_channel();

/// Sends without waiting.  A peer that is gone is no error.  False: there is no place or memory for it just now, and it
/// has to be sent again unless it may be lost.
bool send_order(int orders, Order order, std::uint32_t argument = every_listener) noexcept;
/// The same for a report, which is lost where there is no place for it.  Workers ignore SIGPIPE, which a master that is
/// gone would bring.
void send_report(int reports, Report::Kind kind, std::string_view text = {}) noexcept;

[[nodiscard]] std::variant<ReceivedOrder, NothingYet, PeerGone> receive_order(int orders);
[[nodiscard]] std::variant<Report, NothingYet, PeerGone, NoReport> receive_report(int reports);

}  // namespace preforkd
