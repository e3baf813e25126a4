#include "daemon/worker/program/copy_news.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "common/base/sys_error.hpp"

namespace preforkd {

using namespace std::chrono_literals;

CopyNews::CopyNews(Reactor& reactor, const Settings& settings, Hooks hooks)
    : reactor_{reactor}, settings_{settings}, hooks_{std::move(hooks)}, timer_{reactor.make_timer()} {
    switch (settings.ready.kind) {
        case ReadyCheck::Kind::Alive: break;
        case ReadyCheck::Kind::Notify: notifications_.emplace(); break;
        case ReadyCheck::Kind::Fd: {
            std::array<int, 2> ends{};
            check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe for a program's readiness");
            reader_ = UniqueFd{ends[0]};
            writer_ = UniqueFd{ends[1]};
            check(::fcntl(reader_.get(), F_SETFL, O_NONBLOCK), "make a pipe non-blocking");
        }
    }
}

CopyNews::~CopyNews() { forget(); }

std::vector<std::string> CopyNews::variables() const {
    if (!notifications_) return {};
    std::vector<std::string> variables{"NOTIFY_SOCKET=" + notifications_->address()};
    if (settings_.worker_timeout != 0ms)
        variables.push_back(
            fmt::format("WATCHDOG_USEC={}", std::chrono::microseconds{settings_.worker_timeout}.count()));
    return variables;
}

void CopyNews::begin() {
    writer_ = {};
    switch (settings_.ready.kind) {
        case ReadyCheck::Kind::Alive: return timer_->set(settings_.ready.alive_for, hooks_.ready);
        case ReadyCheck::Kind::Notify: return reactor_.watch(notifications_->fd(), [this] { hear(); });
        case ReadyCheck::Kind::Fd: return reactor_.watch(reader_.get(), [this] { read_pipe(); });
    }
}

void CopyNews::end() {
    forget();
    if (notifications_) hear();
}

void CopyNews::forget() {
    timer_->cancel();
    if (notifications_) reactor_.forget(notifications_->fd());
    if (reader_) reactor_.forget(reader_.get());
}

void CopyNews::hear() {
    while (const auto message = notifications_->receive()) {
        const CopyNotification said = parse_copy_notification(*message);
        hooks_.said(said);
        if (said.ready) hooks_.ready();
    }
}

/// s6 has a program write the end of a line; others write anything, or just close it.
void CopyNews::read_pipe() {
    constexpr auto longer_than_an_exit_takes = 100ms;
    std::array<char, 64> said;
    const ssize_t size = ::read(reader_.get(), said.data(), said.size());
    if (size == -1 && (errno == EAGAIN || errno == EINTR)) return;
    reactor_.forget(reader_.get());
    if (size > 0) return hooks_.ready();
    timer_->set(longer_than_an_exit_takes, hooks_.ready);  // one that dies closes it, too
}

}  // namespace preforkd
