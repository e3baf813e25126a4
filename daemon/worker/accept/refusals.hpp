#pragma once
// Saying that clients were not served without writing a line for each.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

/// Counts the connections of one listener that a worker has closed for one kind of reason, and says so at most once a
/// second: who came last, why, and how many there were.
class Refusals {
public:
    /// `sentence` has {peer}, {listener}, {cause} and {total}.  `listener` outlives it.
    Refusals(const Listener& listener, Reactor& reactor, LogLevel level, std::string_view sentence)
        : listener_{listener}, reactor_{reactor}, level_{level}, sentence_{sentence} {}

    void add(const SocketAddress& peer, std::string_view cause);

private:
    void say();

    const Listener& listener_;
    Reactor& reactor_;
    LogLevel level_;
    std::string_view sentence_;
    std::uint64_t total_ = 0;
    std::uint64_t said_ = 0;
    SocketAddress last_peer_{};
    std::string last_cause_{};
    std::unique_ptr<Timer> timer_{};  ///< made with the first line
    bool silent_ = false;             ///< the second after a line, which the timer ends
};

}  // namespace preforkd
