#include "daemon/ctl/status_feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "daemon/ctl/figures.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

/// A connection to a socket of this machine is there at once, or in the queue of a master that does nothing.
constexpr std::chrono::milliseconds connect_timeout = 500ms;
/// A busy master may take so long; an upgrade, too.
constexpr auto noticeable_silence = 2s;

}  // namespace

StatusFeed::StatusFeed(const Endpoint& control, std::chrono::milliseconds timeout)
    : control_{control}, timeout_{timeout} {
    connect();
}

void StatusFeed::connect() { line_.emplace(control_, connect_timeout); }

void StatusFeed::begin(Clock::time_point now) {
    line_->tell({.command = ControlCommand::Status});
    line_->tell({.command = ControlCommand::Deaths});
    asked_at_ = now;
}

void StatusFeed::end(std::string trouble) {
    line_.reset();
    asked_at_.reset();
    look_.reset();
    trouble_ = std::move(trouble);
}

void StatusFeed::ask(Clock::time_point now) {
    if (asked_at_ && now - *asked_at_ >= noticeable_silence) {
        const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now - *asked_at_);
        trouble_ = fmt::format("{}: the daemon has not answered for {}", to_string(control_), age_text(silence));
    }
    if (asked_at_ && has_passed(deadline_after(*asked_at_, timeout_), now)) end(std::move(trouble_));
    if (asked_at_) return;
    try {
        if (!line_) connect();
        begin(now);
    } catch (const std::exception& error) { end(error.what()); }
}

std::optional<StatusFeed::Look> StatusFeed::hear(Clock::time_point now) {
    try {
        while (line_) {
            const std::optional<ControlAnswer> answer = line_->next();
            if (!answer) return std::nullopt;
            if (!answer->outcome.ok) {
                end(answer->outcome.sentence);
                return std::nullopt;
            }
            if (!look_) {
                look_ = Look{.status = parse_status(answer->status), .at = now};
                continue;
            }
            look_->deaths = parse_deaths(answer->deaths);
            trouble_.clear();
            asked_at_.reset();
            return std::exchange(look_, std::nullopt);
        }
    } catch (const ConversationEnded& error) {
        // Who was disconnected because others asked is only told by the next question, which connects again.
        end(asked_at_ ? error.what() : "");
    } catch (const std::exception& error) { end(error.what()); }
    return std::nullopt;
}

}  // namespace preforkd
