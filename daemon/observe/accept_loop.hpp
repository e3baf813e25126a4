#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>

#include "common/base/clock.hpp"
#include "common/net/listener.hpp"

namespace preforkd {

/// What one session and the loop that has begun it tell each other.
struct SessionState {
    /// Since when it has waited for its client: for all of a request, or for an answer to be read; none: it does not.
    Deadline waits_since{};
    std::function<void()> close{};  ///< ends what it waits for; empty: it is soon over by itself
    bool crowded = false;           ///< all places are taken: after the next answer it ends
};

/// Takes connections from one listener, some at once.  Beyond that the session that has waited for its client for
/// longest is closed in favour of a new one: nobody who is idle, slow or silent may keep a health check out.
class AcceptLoop {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using Session = std::function<boost::asio::awaitable<void>(Socket, SessionState&)>;

    static constexpr std::size_t most_sessions = 64;
    /// So long each client has at least, or a burst of silent ones would close those whose request is under way.
    static constexpr std::chrono::milliseconds least_patience{100};

    /// The listener's descriptor is borrowed.  `over`: is called at the end of each session.
    AcceptLoop(boost::asio::io_context& context, const Listener& listener, Session session, std::function<void()> over);

    /// Takes nobody more; sessions go on.
    void stop();
    [[nodiscard]] std::size_t sessions() const noexcept { return sessions_.size(); }

private:
    [[nodiscard]] boost::asio::awaitable<void> run();
    [[nodiscard]] boost::asio::awaitable<void> free_a_place();
    void begin(Socket socket);

    boost::asio::io_context& context_;
    boost::asio::posix::stream_descriptor listener_;
    boost::asio::generic::stream_protocol protocol_;
    Session session_;
    std::function<void()> over_;
    boost::asio::steady_timer pause_;  ///< ends early when a session ends
    std::list<SessionState> sessions_{};
    bool stopped_ = false;
};

}  // namespace preforkd
