#include "daemon/master/control/control_peer.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "common/control/control_protocol.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto time_to_ask = 60s;  // somebody may be typing
constexpr auto time_to_read_an_answer = 10s;
constexpr auto time_to_leave = 2s;
constexpr std::size_t most_discarded_bytes = std::size_t{1} << 20;

ssize_t receive(int fd, char* into, std::size_t size, int flags) {
    ssize_t got;
    do got = ::recv(fd, into, size, MSG_DONTWAIT | flags);
    while (got == -1 && errno == EINTR);
    return got;
}

}  // namespace

ControlPeer::ControlPeer(UniqueFd connection, Clock::time_point now)
    : connection_{std::move(connection)}, patience_{now + time_to_ask}, quiet_since_{now} {}

ControlPeer::ControlPeer(UniqueFd connection, PeerState state, Clock::time_point now)
    : ControlPeer{std::move(connection), now} {
    line_ = std::move(state.heard);
    unsent_ = std::move(state.unsent);
    last_ = state.last;
    if (state.waits_for) {
        wait_for(*state.waits_for);
    } else if (!unsent_.empty()) {
        phase_ = Phase::Answering;
        patience_ = now + time_to_read_an_answer;
    } else if (last_) {
        phase_ = Phase::Leaving;
        patience_ = now + time_to_leave;
    }
}

PeerState ControlPeer::state() const {
    return {.heard = line_, .unsent = unsent_, .last = last_, .waits_for = waits_for_};
}

ControlPeer::Heard ControlPeer::hear() {
    std::array<char, longest_request_bytes + 1> bytes;
    const ssize_t seen = receive(fd(), bytes.data(), bytes.size(), MSG_PEEK);
    if (seen == -1) return errno == EAGAIN ? Heard::Part : Heard::Gone;
    if (seen == 0) {
        last_ = ended_ = true;
        return line_.empty() ? Heard::Gone : Heard::Request;
    }
    const std::string_view text{bytes.data(), static_cast<std::size_t>(seen)};
    const std::size_t newline = text.find('\n');
    const std::size_t taken = newline == text.npos ? text.size() : newline + 1;
    line_ += text.substr(0, newline);
    if (receive(fd(), bytes.data(), taken, 0) == -1) return Heard::Gone;
    last_ = line_.size() > longest_request_bytes;
    if (last_) return Heard::TooLong;
    return newline == text.npos ? Heard::Part : Heard::Request;
}

void ControlPeer::wait_for(Ticket ticket) {
    phase_ = Phase::Waiting;
    waits_for_ = ticket;
    patience_.reset();
    line_.clear();
}

bool ControlPeer::answer(std::string line, Clock::time_point now) {
    phase_ = Phase::Answering;
    waits_for_.reset();
    patience_ = now + time_to_read_an_answer;
    line_.clear();
    unsent_ = std::move(line);
    return send_more(now);
}

bool ControlPeer::send_more(Clock::time_point now) {
    const ssize_t sent = ::send(fd(), unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1) return errno == EAGAIN || errno == EINTR;
    unsent_.erase(0, static_cast<std::size_t>(sent));
    if (!unsent_.empty()) return true;
    if (ended_) return false;
    if (last_) {
        phase_ = Phase::Leaving;
        patience_ = now + time_to_leave;
        return ::shutdown(fd(), SHUT_WR) == 0;
    }
    phase_ = Phase::Asking;
    patience_ = now + time_to_ask;
    quiet_since_ = now;
    return true;
}

bool ControlPeer::discard() {
    std::array<char, std::size_t{64} * 1024> bytes;
    const ssize_t got = receive(fd(), bytes.data(), bytes.size(), 0);
    if (got == -1) return errno == EAGAIN;
    discarded_bytes_ += static_cast<std::size_t>(got);
    return got != 0 && discarded_bytes_ < most_discarded_bytes;
}

}  // namespace preforkd
