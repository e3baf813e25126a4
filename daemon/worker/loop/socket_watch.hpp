#pragma once
// Sockets in the epoll set of Boost.Asio's loop, as a bare epoll loop has them.
#include <boost/asio/detail/scheduler_operation.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "preforkd/socket_waiter.hpp"

namespace preforkd {

class SocketWatches;

/// A socket that is waited for.
///
/// Asio registers a socket edge-triggered and renews that for each wait, with a system call, in an operation that it
/// allocates, beside a descriptor's state of 168 bytes.  This one is level-triggered, so that a wait makes no system
/// call; what nobody waits for any more is taken off when it next comes.
///
/// What Asio's loop asks of a registration is that its pointer is an operation, which it then runs with the events as
/// its result: epoll_reactor::run(), checked with Boost 1.81.
class SocketWatch : private boost::asio::detail::scheduler_operation {
public:
    /// Who waits: one of each may at a time.
    enum class Side : std::uint8_t { Reading, Writing, Ending };

    /// Of SocketWatches alone.
    explicit SocketWatch(SocketWatches& home) noexcept;
    SocketWatch(const SocketWatch&) = delete;
    SocketWatch& operator=(const SocketWatch&) = delete;

    /// Enters the epoll set, so that no wait fails for lack of a place there.  Throws std::system_error.
    void enter(SocketEvent first) {
        if (registered_ == 0) ask_for(events_of(first));
    }

    /// Ends `waiter` from the loop, once there is input, or output is taken, or the connection broke.  That nothing is
    /// ready then is possible, and seldom.
    void wait(Side side, SocketEvent what, SocketWaiter& waiter);

    /// Ends who waits, soon and from the loop.
    void end(Side side);

    /// Forgets who waits.
    void forget(Side side) noexcept { (void)take(static_cast<std::size_t>(side)); }

    /// Enters the kernel's queue of sleepers, at its end: of those who share the socket, it wakes about one
    /// (EPOLLEXCLUSIVE), and input is all that may be waited for.
    void join_queue();

    /// Leaves the epoll set.  Twice is no error.
    void leave() noexcept;

    [[nodiscard]] bool is_registered() const noexcept { return registered_ != 0; }
    [[nodiscard]] bool has(Side side) const noexcept { return waiting[static_cast<std::size_t>(side)] != nullptr; }

private:
    friend class SocketWatches;
    static constexpr std::size_t sides = 3;

    [[nodiscard]] static std::uint32_t events_of(SocketEvent what) noexcept;
    void ready(std::uint32_t events);
    void ask_for(std::uint32_t events);
    void destroy_waiters();
    [[nodiscard]] bool is_on_its_way() noexcept;
    SocketWaiter* take(std::size_t side) noexcept { return std::exchange(waiting[side], nullptr); }

    int fd_ = -1;  ///< -1: it is nobody's
    SocketWatches& home_;
    union {
        std::array<SocketWaiter*, sides> waiting;
        SocketWatch* next_spare;  ///< of one that is nobody's
    };
    std::array<SocketEvent, sides> wanted_{};
    std::uint8_t last_ = 0;         ///< the side whose turn was last
    std::uint32_t registered_ = 0;  ///< events; none: it is not in the set
};

/// All of one loop: `boost::asio::use_service<SocketWatches>(context)`.
///
/// They are kept when they are given back, as Asio keeps its own, and used again once no event is on its way to them.
/// Who waits does not keep the loop running.
class SocketWatches final : public boost::asio::execution_context::service {
public:
    using key_type = SocketWatches;
    static inline boost::asio::execution_context::id id{};

    explicit SocketWatches(boost::asio::io_context& loop);

    struct GiveBack {
        void operator()(SocketWatch* watch) const noexcept { watch->home_.give_back(*watch); }
    };
    using Handle = std::unique_ptr<SocketWatch, GiveBack>;

    /// `fd`: borrowed, until it is given back.
    [[nodiscard]] Handle watch(int fd);

    /// Ends `waiter` in the next turn of `loop`.
    static void end_soon(boost::asio::io_context& loop, SocketWaiter& waiter);

    [[nodiscard]] int epoll_fd() const noexcept { return epoll_; }

private:
    friend class SocketWatch;

    void give_back(SocketWatch& watch) noexcept;
    void keep(SocketWatch& watch) noexcept;
    void shutdown() override;

    boost::asio::io_context& loop_;
    boost::asio::detail::scheduler& scheduler_;
    int epoll_;
    std::deque<SocketWatch> all_{};
    SocketWatch* spare_ = nullptr;
};

}  // namespace preforkd
