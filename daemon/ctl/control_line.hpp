#pragma once
// A conversation with the daemon over its control socket.
#include <chrono>
#include <stdexcept>
#include <string>

#include "common/base/unique_fd.hpp"
#include "common/control/control_protocol.hpp"
#include "daemon/ctl/patience.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// The daemon has let go of the connection, without a word.
struct ConversationEnded : std::runtime_error {
    explicit ConversationEnded(const Endpoint& control)
        : runtime_error{to_string(control) + ": the daemon has ended the conversation"} {}
};

/// One line each way at a time.
class ControlLine {
public:
    /// `timeout`: for the connection and for each answer; zero: for ever.  Throws std::runtime_error with one sentence.
    ControlLine(const Endpoint& control, std::chrono::milliseconds timeout);

    /// Throws ConversationEnded, among others.
    [[nodiscard]] ControlAnswer ask(const ControlRequest& request);

    /// Until it is time to ask again, or the daemon has something to say: that it ends.
    void pause(std::chrono::milliseconds length) const;

private:
    void hear(const Patience& patience);

    Endpoint control_;
    std::chrono::milliseconds timeout_;
    UniqueFd socket_{};
    std::string heard_{};
};

}  // namespace preforkd
