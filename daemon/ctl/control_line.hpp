#pragma once
// A conversation with the daemon over its control socket.
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

#include "common/base/unique_fd.hpp"
#include "common/control/control_protocol.hpp"
#include "common/control/death_report.hpp"
#include "common/control/status_report.hpp"
#include "daemon/ctl/patience.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// The daemon has let go of the connection, without a word.
struct ConversationEnded : std::runtime_error {
    explicit ConversationEnded(const Endpoint& control)
        : runtime_error{to_string(control) + ": the daemon has ended the conversation"} {}
};

/// The daemon has stopped in good order.
struct DaemonStopped : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// One line each way at a time.
class ControlLine {
public:
    /// `timeout`: for the connection and for each answer; zero: for ever.  Throws std::runtime_error with one sentence.
    ControlLine(const Endpoint& control, std::chrono::milliseconds timeout);

    /// Throws ConversationEnded, among others.
    [[nodiscard]] ControlAnswer ask(const ControlRequest& request);

    /// As one who asks now and then: where many do, who has been silent for longest is disconnected, and comes back.
    [[nodiscard]] ControlAnswer ask_again(const ControlRequest& request);

    /// The same in two parts, for who waits for other things as well: `next` answers in the order of the questions once
    /// one has arrived, which fd() tells of, and nullopt before.
    void tell(const ControlRequest& request);
    [[nodiscard]] std::optional<ControlAnswer> next();
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

    /// Until it is time to ask again, or the daemon has something to say: that it ends.
    void pause(std::chrono::milliseconds length) const;

private:
    /// Reads what has arrived; false where nothing has.
    bool hear();

    Endpoint control_;
    std::chrono::milliseconds timeout_;
    UniqueFd socket_{};
    std::string heard_{};
};

/// What it tells, now and again.  Throws DaemonStopped, among others.
[[nodiscard]] StatusReport ask_status(ControlLine& line);
[[nodiscard]] DeathRing ask_deaths(ControlLine& line);

}  // namespace preforkd
