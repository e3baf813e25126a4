#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <functional>

#include "common/net/listener.hpp"

namespace preforkd {

/// Takes connections from one listener, a few at once: who comes beyond that waits in its queue.
class AcceptLoop {
public:
    using Session = std::function<boost::asio::awaitable<void>(boost::asio::generic::stream_protocol::socket)>;

    static constexpr std::size_t most_sessions = 16;

    /// The listener's descriptor is borrowed.  `over`: is called at the end of each session.
    AcceptLoop(boost::asio::io_context& context, const Listener& listener, Session session, std::function<void()> over);

    /// Takes nobody more; sessions go on.
    void stop();
    [[nodiscard]] std::size_t sessions() const noexcept { return sessions_; }

private:
    [[nodiscard]] boost::asio::awaitable<void> run();
    void begin(int connection);

    boost::asio::io_context& context_;
    boost::asio::posix::stream_descriptor listener_;
    boost::asio::generic::stream_protocol protocol_;
    Session session_;
    std::function<void()> over_;
    boost::asio::steady_timer pause_;  ///< ends early when there is space for another session
    std::size_t sessions_ = 0;
    bool stopped_ = false;
};

}  // namespace preforkd
